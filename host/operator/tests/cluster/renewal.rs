//! Tokens are renewed before they die, as often as the resource asks, and never for nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_double::{Fault, Issued};
use ecr_secret_core::api::Status;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use kube::api::{WatchEvent, WatchParams};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{SOON, Stage, eventually, spec, state, token};

/// The tokens that one Secret held, each with when the API server stored it, by this machine's clock.
struct Tokens {
    seen: Arc<Mutex<Vec<(Timestamp, Issued)>>>,
    task: JoinHandle<()>,
}

impl Tokens {
    async fn of(stage: &Stage, name: &str) -> Self {
        let seen: Arc<Mutex<Vec<(Timestamp, Issued)>>> = Arc::default();
        let api = stage.secrets();
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let mut events = api.watch(&params, "0").await.unwrap().boxed();
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event.expect("the watch goes on") {
                    WatchEvent::Added(secret) | WatchEvent::Modified(secret) => noted
                        .lock()
                        .unwrap()
                        .push((Timestamp::now(), token(&secret))),
                    WatchEvent::Deleted(_) => panic!("the Secret was deleted"),
                    _ => {}
                }
            }
        });
        Self { seen, task }
    }

    /// Waits until the Secret has held so many tokens.
    async fn reach(&self, count: usize, within: Duration) -> Vec<(Timestamp, Issued)> {
        eventually(within, &format!("{count} tokens"), || async {
            assert!(!self.task.is_finished(), "the watch of the Secret ended");
            let seen = self.seen.lock().unwrap().clone();
            if seen.len() >= count {
                Ok(seen)
            } else {
                Err(format!("{} tokens", seen.len()))
            }
        })
        .await
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_short_life_are_renewed_again_and_again_and_the_secret_never_holds_a_dead_one()
{
    let stage = Stage::prepare().await;
    stage.aws.set_token_life(Duration::from_secs(8));
    let _operator = stage.start().await;
    stage.create("a", spec("a")).await;
    stage.secret("a").await;
    let tokens = Tokens::of(&stage, "a").await;
    let seen = tokens.reach(5, Duration::from_mins(1)).await;
    for pair in seen.windows(2) {
        let ((_, old), (replaced, new)) = (&pair[0], &pair[1]);
        assert!(*replaced < old.expires_at, "a dead token stayed: {seen:#?}");
        assert!(
            new.number > old.number,
            "each write brings a new token: {seen:#?}"
        );
        assert!(
            replaced.duration_since(old.issued_at) > SignedDuration::from_secs(5),
            "renewed much too early: {seen:#?}"
        );
    }
    let status = stage.ready("a", "Refreshed").await;
    assert!(status.condition("Adjusted").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frequency_of_a_day_does_not_outlive_a_token_of_twelve_hours() {
    let (stage, _operator) = Stage::with_operator().await;
    let mut spec = spec("a");
    spec["frequency"] = json!("24h");
    stage.create("a", spec).await;
    let status = stage.ready("a", "Refreshed").await;
    let token = token(&stage.secret("a").await);
    let next = Timestamp::from(status.next_refresh_time.unwrap());
    assert!(
        next <= token.issued_at + SignedDuration::from_mins(10 * 60 + 31),
        "{next} is not safe"
    );
    assert!(
        next > token.issued_at + SignedDuration::from_hours(9),
        "{next} is too early"
    );
    let expires = Timestamp::from(status.expires_at.unwrap());
    assert!(
        expires.duration_since(token.expires_at).abs() <= SignedDuration::from_secs(1),
        "{expires} is not the token's end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frequency_of_ten_seconds_is_obeyed() {
    let (stage, _operator) = Stage::with_operator().await;
    let mut spec = spec("a");
    spec["frequency"] = json!("10s");
    stage.create("a", spec).await;
    stage.secret("a").await;
    let tokens = Tokens::of(&stage, "a").await;
    let seen = tokens.reach(3, Duration::from_mins(1)).await;
    for pair in seen.windows(2) {
        let interval = pair[1].1.issued_at.duration_since(pair[0].1.issued_at);
        assert!(
            interval >= SignedDuration::from_secs(9) && interval < SignedDuration::from_secs(18),
            "{seen:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_refresh_forces_exactly_one() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let first = stage.secret("a").await;
    Stage::old_enough_for_a_refresh(&first).await;
    stage.request_refresh("a", "2026-01-01").await;
    let handled = |value: &'static str| {
        move |status: &Status| status.handled_refresh_request.as_deref() == Some(value)
    };
    stage.status("a", "handled", handled("2026-01-01")).await;
    let second = stage.secret("a").await;
    assert_ne!(first.data, second.data);

    // The same value again, another annotation, another label: none of them asks for anything.
    let noise = json!({ "metadata": { "annotations": { "ecr.mobb.redhat.com/refresh-requested-at": "2026-01-01", "other": "x" }, "labels": { "x": "y" } } });
    stage.change("a", noise).await;
    stage
        .change_to("a", json!({ "spec": { "frequency": "9h" } }), "Refreshed")
        .await;
    assert_eq!(state(&stage.secret("a").await), state(&second));
    assert_eq!(stage.calls(), 2);

    Stage::old_enough_for_a_refresh(&second).await;
    stage.request_refresh("a", "2026-01-02").await;
    stage.status("a", "handled", handled("2026-01-02")).await;
    assert_ne!(stage.secret("a").await.data, second.data);
    assert_eq!(stage.calls(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_refresh_cuts_a_wait_short_even_before_there_is_a_secret() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.aws.set_fault(Fault::AccessDenied);
    stage.create("a", spec("a")).await;
    stage.ready("a", "AccessDenied").await;
    // The waits grow: 10 s, 20 s, 40 s, 80 s. After the fourth failure nothing comes by itself within `SOON`.
    for number in 1..=3 {
        stage.request_refresh("a", &format!("try {number}")).await;
        let tried = || async { (stage.calls() > number).then_some(()) };
        eventually(SOON, "AWS is asked again at once", tried).await;
    }
    stage.aws.clear_faults();
    stage.request_refresh("a", "it is allowed now").await;
    stage.ready("a", "Refreshed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_resource_is_left_alone_until_it_is_resumed() {
    let stage = Stage::prepare().await;
    stage.aws.set_token_life(Duration::from_secs(8));
    let _operator = stage.start().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let status = stage
        .change_to("a", json!({ "spec": { "suspend": true } }), "Suspended")
        .await;
    assert_eq!(status.condition("Ready").unwrap().status.as_str(), "False");
    assert_eq!(status.next_refresh_time, None);
    let kept = stage.secret("a").await;
    let end = token(&kept).expires_at;
    eventually(SOON, "the token's end", || async {
        (Timestamp::now() > end).then_some(())
    })
    .await;
    assert_eq!(
        state(&stage.secret("a").await),
        state(&kept),
        "nothing is renewed"
    );

    stage
        .change_to("a", json!({ "spec": { "suspend": false } }), "Refreshed")
        .await;
    let resumed = stage.secret("a").await;
    assert!(
        token(&resumed).expires_at > Timestamp::now(),
        "a new token at once"
    );
    assert_eq!(resumed.metadata.uid, kept.metadata.uid);
    let tokens = Tokens::of(&stage, "a").await;
    tokens.reach(2, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_resources_share_one_call_and_a_restart_neither_calls_nor_writes() {
    let (stage, mut operator) = Stage::with_operator().await;
    let names: Vec<String> = (0..50).map(|number| format!("r{number}")).collect();
    for name in &names {
        stage.create(name, spec(name)).await;
    }
    for name in &names {
        stage.ready(name, "Refreshed").await;
    }
    assert_eq!(stage.calls(), 1);
    let versions = || async {
        let mut versions = Vec::new();
        for name in &names {
            let resource = stage.resources().get(name).await.unwrap();
            versions.push((
                stage.secret(name).await.metadata.resource_version,
                resource.metadata.resource_version,
            ));
        }
        versions
    };
    let before = versions().await;

    operator.terminate(Duration::from_secs(10)).await.unwrap();
    let operator = stage.start().await;
    // Every resource has been looked at once its series is there.
    eventually(SOON, "every resource is looked at", || async {
        let metrics = operator
            .metrics()
            .await
            .map_err(|error| error.to_string())?;
        let seen = names
            .iter()
            .filter(|name| metrics.contains(&format!("name=\"{name}\"}} 1")))
            .count();
        if seen == names.len() {
            Ok(())
        } else {
            Err(format!("{seen} of {}", names.len()))
        }
    })
    .await;
    assert_eq!(
        versions().await,
        before,
        "neither Secret nor status was written"
    );
    assert_eq!(stage.calls(), 1, "the tokens in the Secrets are good");
}
