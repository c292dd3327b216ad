//! Many askers, one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_double::{Action, DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY, Fault, FaultRule};
use ecr_secret_core::reason::Reason;
use ecr_secret_operator::aws::{Broker, BrokerMetrics, BrokerOptions, Freshness, TokenKey};
use futures::future::join_all;

use crate::support::{REGION, World, ask, ask_for, key, number, public, wait_until};

const SLOW: Fault = Fault::Latency { ms: 300 };

#[tokio::test]
async fn a_thousand_concurrent_askers_cost_one_call_and_get_one_token() {
    let world = World::new().await;
    world.aws.set_fault(SLOW);
    let broker = world.broker();
    let tokens = join_all((0..1000).map(|_| ask(&broker))).await;
    let first = tokens[0].as_ref().unwrap();
    assert!(
        tokens
            .iter()
            .all(|token| Arc::ptr_eq(token.as_ref().unwrap(), first))
    );
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_thousand_askers_of_a_failing_call_cost_one_call_too() {
    let world = World::new().await;
    world.aws.set_fault(SLOW);
    world.aws.set_fault(Fault::AccessDenied);
    let broker = world.broker();
    let results = join_all((0..1000).map(|_| ask(&broker))).await;
    let first = results[0].as_ref().unwrap_err();
    assert!(
        results
            .iter()
            .all(|result| result.as_ref().unwrap_err() == first)
    );
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn an_asker_who_wants_a_younger_token_than_the_flight_gets_the_next_one() {
    let world = World::new().await;
    world.aws.set_fault(SLOW);
    let broker = world.broker();
    let before = world.now();
    let early = tokio::spawn({
        let broker = broker.clone();
        async move { ask(&broker).await }
    });
    world.wait_for_calls(1).await;
    let younger_than = |issued_after| Freshness {
        issued_after,
        force: false,
    };
    let region = key(REGION);
    let (content, strict, strict_too) = tokio::join!(
        ask_for(&broker, &region, younger_than(before)),
        ask_for(&broker, &region, younger_than(world.now())),
        ask_for(&broker, &region, younger_than(world.now())),
    );
    assert_eq!(number(&early.await.unwrap().unwrap()), 1);
    assert_eq!(number(&content.unwrap()), 1);
    assert_eq!(number(&strict.unwrap()), 2);
    assert_eq!(number(&strict_too.unwrap()), 2);
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_wish_for_a_token_from_the_future_is_one_for_a_token_of_now() {
    let world = World::new().await;
    let broker = world.broker();
    ask(&broker).await.unwrap();
    let freshness = Freshness {
        issued_after: world.now() + jiff::SignedDuration::from_hours(9),
        force: false,
    };
    let token = ask_for(&broker, &key(REGION), freshness).await.unwrap();
    assert_eq!((number(&token), world.calls()), (2, 2));
}

#[tokio::test]
async fn a_token_is_reused_until_it_is_too_old_for_the_asker_or_near_its_end() {
    let world = World::new().await;
    world.aws.set_token_life(Duration::from_secs(1000));
    let broker = world.broker();
    let first = ask(&broker).await.unwrap();
    world.advance(Duration::from_secs(700));
    let issued_after = first.issued_at();
    let freshness = Freshness {
        issued_after,
        force: true,
    };
    let same = ask_for(&broker, &key(REGION), freshness).await.unwrap();
    assert!(Arc::ptr_eq(&same, &first));
    let freshness = Freshness {
        issued_after: issued_after + jiff::SignedDuration::from_secs(1),
        force: false,
    };
    let younger = ask_for(&broker, &key(REGION), freshness).await.unwrap();
    assert_eq!(number(&younger), 2);
    world.advance(Duration::from_secs(801));
    assert_eq!(number(&ask(&broker).await.unwrap()), 3);
}

#[tokio::test]
async fn a_token_counts_from_just_before_the_call_to_what_the_answer_says() {
    let world = World::new().await;
    world.aws.set_fault(SLOW);
    let broker = world.broker();
    let before = world.now();
    let token = ask(&broker).await.unwrap();
    let answered = world.now();
    assert!(token.issued_at() >= before);
    let waited = answered.duration_since(token.issued_at());
    assert!(waited >= jiff::SignedDuration::from_millis(290), "{waited}");
    let issued = aws_double::issued(token.expose_password()).unwrap();
    let off = token.expires_at().duration_since(issued.expires_at).abs();
    assert!(off < jiff::SignedDuration::from_secs(1), "{off}");
}

#[tokio::test]
async fn askers_who_go_away_neither_end_the_call_nor_harm_the_others() {
    let world = World::new().await;
    world.aws.set_fault(SLOW);
    let broker = world.broker();
    let first = tokio::spawn({
        let broker = broker.clone();
        async move { ask(&broker).await }
    });
    world.wait_for_calls(1).await;
    let second = tokio::spawn({
        let broker = broker.clone();
        async move { ask(&broker).await }
    });
    first.abort();
    assert_eq!(number(&second.await.unwrap().unwrap()), 1);

    let alone = tokio::spawn({
        let broker = broker.clone();
        async move { ask_for(&broker, &key("us-west-2"), Freshness::ANY).await }
    });
    world.wait_for_calls(2).await;
    alone.abort();
    let answered = || world.aws.counts().answered(crate::support::ECR) == 2;
    wait_until("the lonely call is answered", answered).await;
    let token = ask_for(&broker, &key("us-west-2"), Freshness::ANY).await;
    assert_eq!(number(&token.unwrap()), 2);
    assert_eq!(world.calls(), 2, "the call that nobody waited for counts");
}

#[tokio::test]
async fn regions_and_kinds_have_tokens_of_their_own_and_public_has_one_for_the_world() {
    let world = World::new().await;
    let broker = world.broker();
    let mut passwords = std::collections::BTreeSet::new();
    for key in [key(REGION), key("us-east-1"), public()] {
        let token = ask_for(&broker, &key, Freshness::ANY).await.unwrap();
        passwords.insert(token.expose_password().to_owned());
    }
    assert_eq!(passwords.len(), 3);
    let elsewhere = TokenKey {
        region: "ap-south-1".to_owned(),
        ..public()
    };
    ask_for(&broker, &elsewhere, Freshness::ANY).await.unwrap();
    let counts = world.aws.counts();
    assert_eq!(counts.of(Action::EcrPublicGetAuthorizationToken), 1);
    assert_eq!(counts.of(Action::EcrGetAuthorizationToken), 2);
}

#[tokio::test]
async fn a_hanging_region_does_not_hold_up_another() {
    let world = World::new().await;
    world
        .aws
        .set_fault(FaultRule::from(Fault::Hang).region("us-east-1"));
    let broker = world.broker();
    let hanging = tokio::spawn({
        let broker = broker.clone();
        async move { ask_for(&broker, &key("us-east-1"), Freshness::ANY).await }
    });
    world.wait_for_calls(1).await;
    ask(&broker).await.unwrap();
    assert!(!hanging.is_finished());
    hanging.abort();
}

/// Panics at the first attempt, like a library that does not expect a value.
struct PanicsOnce(AtomicBool);

impl BrokerMetrics for PanicsOnce {
    fn attempted(&self, _: &TokenKey, _: Result<(), Reason>, _: Duration) {
        assert!(
            self.0.swap(true, Ordering::SeqCst),
            "a value that nobody expected"
        );
    }
}

#[tokio::test]
async fn a_panic_in_a_call_is_a_failure_with_a_reason_and_not_the_end() {
    let world = World::new().await;
    let broker = Broker::new(BrokerOptions {
        metrics: Arc::new(PanicsOnce(AtomicBool::new(false))),
        ..world.options(&[
            ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", DEFAULT_SECRET_ACCESS_KEY),
            ("AWS_CONFIG_FILE", "/nowhere/config"),
        ])
    });
    let failure = ask(&broker).await.unwrap_err();
    assert_eq!(failure.reason, Reason::CredentialsInvalid);
    assert!(failure.message.contains("/nowhere/config"), "{failure}");
    world.sit_out(&failure);
    ask(&broker).await.unwrap();
}
