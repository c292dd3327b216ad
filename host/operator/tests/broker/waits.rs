//! What happens between a failure and the next try.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use aws_double::{DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY, Fault, FaultRule};
use ecr_secret_core::reason::Reason;
use ecr_secret_operator::aws::{Broker, BrokerOptions, Freshness, Rate};
use futures::future::join_all;
use jiff::SignedDuration;

use crate::support::{REGION, World, ask, ask_for, key};

const FORCED: Freshness = Freshness {
    force: true,
    ..Freshness::ANY
};

fn with_rate(world: &World, per_second: u32, burst: u32) -> Broker {
    Broker::new(BrokerOptions {
        rate: Rate {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        },
        ..world.options(&[
            ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", DEFAULT_SECRET_ACCESS_KEY),
        ])
    })
}

#[tokio::test]
async fn during_the_wait_askers_get_the_last_failure_without_a_call() {
    let world = World::new().await;
    let rule = world.aws.set_fault(Fault::AccessDenied);
    let broker = world.broker();
    let failure = ask(&broker).await.unwrap_err();
    world.aws.clear_fault(rule);
    for _ in 0..20 {
        assert_eq!(ask(&broker).await.unwrap_err(), failure);
    }
    assert_eq!(world.calls(), 1);
    world.sit_out(&failure);
    ask(&broker).await.unwrap();
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_user_who_insists_is_served_during_the_wait() {
    let world = World::new().await;
    let rule = world.aws.set_fault(Fault::AccessDenied);
    let broker = world.broker();
    ask(&broker).await.unwrap_err();
    ask_for(&broker, &key(REGION), FORCED).await.unwrap_err();
    assert_eq!(world.calls(), 2);
    world.aws.clear_fault(rule);
    ask_for(&broker, &key(REGION), FORCED).await.unwrap();
    ask(&broker).await.unwrap();
    assert_eq!(world.calls(), 3);
}

#[tokio::test]
async fn a_user_who_insists_is_not_put_off_with_a_call_that_was_under_way() {
    let world = World::new().await;
    world.aws.set_fault(Fault::Latency { ms: 300 });
    world
        .aws
        .set_fault(FaultRule::from(Fault::AccessDenied).times(1));
    let broker = world.broker();
    let denied = tokio::spawn({
        let broker = broker.clone();
        async move { ask(&broker).await }
    });
    world.wait_for_calls(1).await;
    ask_for(&broker, &key(REGION), FORCED).await.unwrap();
    assert_eq!(
        denied.await.unwrap().unwrap_err().reason,
        Reason::AccessDenied
    );
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn waits_grow_with_each_failure_and_a_success_ends_them() {
    let world = World::new().await;
    let broker = world.broker();
    for (fault, first) in [(Fault::Throttle, 1_000), (Fault::AccessDenied, 10_000)] {
        let rule = world.aws.set_fault(fault);
        for doubling in 0..4 {
            let freshness = Freshness {
                issued_after: world.now(),
                force: false,
            };
            let failure = ask_for(&broker, &key(REGION), freshness).await.unwrap_err();
            let wait = failure.retry_at.duration_since(world.now());
            let most = SignedDuration::from_millis(first << doubling);
            assert!(wait <= most && wait > most / 2, "{wait} of {most}");
            world.sit_out(&failure);
        }
        world.aws.clear_fault(rule);
        let freshness = Freshness {
            issued_after: world.now(),
            force: false,
        };
        ask_for(&broker, &key(REGION), freshness).await.unwrap();
    }
}

#[tokio::test]
async fn one_region_that_fails_does_not_make_another_wait() {
    let world = World::new().await;
    world
        .aws
        .set_fault(FaultRule::from(Fault::Throttle).region("us-east-1"));
    let broker = world.broker();
    ask_for(&broker, &key("us-east-1"), Freshness::ANY)
        .await
        .unwrap_err();
    ask(&broker).await.unwrap();
}

#[tokio::test]
async fn calls_stay_below_the_rate_over_all_keys_even_when_forced() {
    let world = World::new().await;
    let broker = with_rate(&world, 20, 2);
    let regions = [
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "us-east-1",
        "us-east-2",
        "us-west-1",
    ];
    let keys = regions.map(key);
    let begun = Instant::now();
    let results = join_all(keys.iter().map(|key| ask_for(&broker, key, FORCED))).await;
    assert!(results.iter().all(Result::is_ok));
    // Two at once, four more at 20 a second.
    assert!(
        begun.elapsed() >= Duration::from_millis(190),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(world.calls(), 6);
}

#[tokio::test]
async fn invented_regions_do_not_use_up_the_calls_of_real_ones() {
    let world = World::new().await;
    let broker = with_rate(&world, 1, 3);
    let invented: Vec<_> = (0..5)
        .map(|number| {
            let broker = broker.clone();
            let key = key(&format!("xx-invented-{number}"));
            tokio::spawn(async move { broker.token(&key, Freshness::ANY).await })
        })
        .collect();
    world.wait_for_calls(1).await;
    ask(&broker).await.unwrap();
    // One at once, then one a second, of the three that the real ones may make at once.
    assert!(world.calls() <= 3, "{} calls", world.calls());
    for task in invented {
        task.abort();
    }
}

#[tokio::test]
async fn attempts_are_counted_with_their_results() {
    use ecr_secret_operator::aws::{BrokerMetrics, TokenKey};
    use std::sync::{Arc, Mutex};

    #[derive(Default)]
    struct Attempts(Mutex<Vec<Result<(), Reason>>>);
    impl BrokerMetrics for Attempts {
        fn attempted(&self, _: &TokenKey, result: Result<(), Reason>, _: Duration) {
            self.0.lock().unwrap().push(result);
        }
    }

    let world = World::new().await;
    let attempts = Arc::new(Attempts::default());
    let broker = Broker::new(BrokerOptions {
        metrics: attempts.clone(),
        ..world.options(&[
            ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", DEFAULT_SECRET_ACCESS_KEY),
        ])
    });
    world
        .aws
        .set_fault(FaultRule::from(Fault::Throttle).times(1));
    let failure = ask(&broker).await.unwrap_err();
    ask(&broker).await.unwrap_err();
    world.sit_out(&failure);
    ask(&broker).await.unwrap();
    ask(&broker).await.unwrap();
    assert_eq!(
        *attempts.0.lock().unwrap(),
        [Err(Reason::Throttled), Ok(())]
    );
}
