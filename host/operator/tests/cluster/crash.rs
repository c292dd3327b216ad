//! The operator is killed between any two effects of a reconcile. After its restart nothing is lost and
//! nothing is doubled.

use std::time::Duration;

use aws_double::Fault;
use ecr_secret_core::api::Status;
use kube::api::DeleteParams;
use serde_json::json;

use crate::proxy::{Moment, Proxy};
use crate::recording::Recording;
use crate::round::Round;
use crate::support::{SOON, Stage, eventually, password, spec};

/// Watches that were interrupted again and again wait up to half a minute.
const RECOVERY: Duration = Duration::from_secs(90);

/// Kills the operator at its first write, then at its second, and so on, until all were spared.
async fn survive_a_creation(moment: Moment) {
    let stage = Stage::prepare().await;
    let proxy = Proxy::start(&stage).await;
    for number in 1.. {
        let round = Round::new(&stage, number).await;
        let secret = format!("s{number}");
        let recording = Recording::start(&stage).await;
        proxy.hold(number, moment);
        stage.create(&round.resource, round.spec(&secret)).await;
        let mut operator = proxy.operator();
        let spared = tokio::select! {
            () = proxy.holds() => false,
            () = round.is_told(&stage, &secret) => true,
        };
        operator.kill().unwrap();
        if spared {
            let writes = proxy.writes();
            assert_eq!(
                writes.len(),
                5,
                "Secret, two accounts, status, event: {writes:#?}"
            );
            return;
        }
        let _restarted = stage.start().await;
        round.is_settled(&stage, &secret).await;
        recording.assert_no_gap(&round.builder, true);
        recording.assert_no_gap(&round.deployer, false);
        round.has_at_most_one_event(&stage).await;
        assert!(number < 20, "no end of writes: {:#?}", proxy.writes());
    }
}

async fn survive_a_rename(moment: Moment) {
    let stage = Stage::prepare().await;
    let proxy = Proxy::start(&stage).await;
    for number in 1.. {
        let round = Round::new(&stage, number).await;
        let (old, new) = (format!("old{number}"), format!("new{number}"));
        proxy.let_pass();
        let mut operator = proxy.operator();
        stage.create(&round.resource, round.spec(&old)).await;
        round.is_told(&stage, &old).await;

        let recording = Recording::start(&stage).await;
        proxy.hold(number, moment);
        stage
            .change(
                &round.resource,
                json!({ "spec": { "generated_secret_name": new } }),
            )
            .await;
        let spared = tokio::select! {
            () = proxy.holds() => false,
            () = round.is_settled(&stage, &new) => true,
        };
        operator.kill().unwrap();
        if spared {
            let writes = proxy.writes();
            assert_eq!(
                writes.len(),
                5,
                "new Secret, two accounts, old Secret, status: {writes:#?}"
            );
            return;
        }
        let _restarted = stage.start().await;
        round.is_settled(&stage, &new).await;
        recording.assert_no_gap(&round.builder, true);
        recording.assert_no_gap(&round.deployer, false);
        round.has_at_most_one_event(&stage).await;
        assert!(number < 20, "no end of writes: {:#?}", proxy.writes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_effect_of_a_creation_the_operator_loses_and_doubles_nothing() {
    survive_a_creation(Moment::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_effect_of_a_creation_the_operator_loses_and_doubles_nothing() {
    survive_a_creation(Moment::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_effect_of_a_rename_the_operator_loses_and_doubles_nothing() {
    survive_a_rename(Moment::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_effect_of_a_rename_the_operator_loses_and_doubles_nothing() {
    survive_a_rename(Moment::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_a_forced_refresh_and_its_status_does_not_refresh_twice() {
    let stage = Stage::prepare().await;
    let proxy = Proxy::start(&stage).await;
    let mut operator = proxy.operator();
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let first = stage.secret("a").await;
    Stage::old_enough_for_a_refresh(&first).await;
    proxy.hold(1, Moment::After);
    stage.request_refresh("a", "now").await;
    proxy.holds().await;
    operator.kill().unwrap();
    let second = stage.secret("a").await;
    assert_ne!(
        first.data, second.data,
        "the Secret was written before the crash"
    );

    let _restarted = stage.start().await;
    stage
        .status("a", "the request is handled", |status| {
            status.handled_refresh_request.as_deref() == Some("now")
        })
        .await;
    let status = stage.ready("a", "Refreshed").await;
    let issued = aws_double::issued(&password(&second)).unwrap();
    assert!(
        status.last_updated_time.unwrap() >= issued.issued_at.into(),
        "lastUpdatedTime is of before the crash"
    );
    assert_eq!(
        stage.secret("a").await.metadata.resource_version,
        second.metadata.resource_version
    );
    assert_eq!(stage.calls(), 2);
}

/// Kills the operator in a creation or a rename, with the links made and the status not written, and starts
/// it again while AWS hangs: for a long time nothing but the status tells what is linked, and it is wrong.
async fn survive_an_outage_after_a_crash(
    stage: &Stage,
    last_write: usize,
    round: &Round,
    secret: &str,
    begin: impl AsyncFnOnce(),
) {
    let proxy = Proxy::start(stage).await;
    let recording = Recording::start(stage).await;
    proxy.hold(last_write, Moment::Before);
    let mut operator = proxy.operator();
    begin().await;
    proxy.holds().await;
    operator.kill().unwrap();
    stage.linked(&round.builder, &[secret], &[secret]).await;

    stage.aws.reset_counts();
    stage.aws.set_fault(Fault::Hang);
    stage.request_refresh(&round.resource, "now").await;
    let _restarted = stage.start().await;
    eventually(SOON, "AWS is asked", || async {
        (!stage.aws.calls().is_empty()).then_some(())
    })
    .await;
    let told = |status: &Status| {
        status.generated_secret_name.as_deref() == Some(secret)
            && status
                .condition("Ready")
                .is_some_and(|ready| ready.reason == "AwsUnreachable")
    };
    stage
        .status(&round.resource, "the outage is told", told)
        .await;
    stage.aws.clear_faults();
    stage
        .status_within(
            RECOVERY,
            &round.resource,
            "the request is handled",
            |status| status.handled_refresh_request.is_some(),
        )
        .await;
    round.is_settled(stage, secret).await;
    recording.assert_no_gap(&round.builder, true);
    recording.assert_no_gap(&round.deployer, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_without_a_status_survive_a_restart_while_aws_hangs() {
    let stage = Stage::prepare().await;
    let round = Round::new(&stage, 1).await;
    survive_an_outage_after_a_crash(&stage, 4, &round, "s1", async || {
        stage.create("r1", round.spec("s1")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_rename_that_no_status_tells_survive_a_restart_while_aws_hangs() {
    let stage = Stage::prepare().await;
    let round = Round::new(&stage, 1).await;
    let mut operator = stage.start().await;
    stage.create("r1", round.spec("old")).await;
    round.is_settled(&stage, "old").await;
    operator.kill().unwrap();
    let rename = json!({ "spec": { "generated_secret_name": "new" } });
    survive_an_outage_after_a_crash(&stage, 5, &round, "new", async || {
        stage.change("r1", rename).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_wanted_any_more_after_a_crash_is_unlinked() {
    let stage = Stage::prepare().await;
    let proxy = Proxy::start(&stage).await;
    let round = Round::new(&stage, 1).await;
    proxy.hold(4, Moment::Before);
    let mut operator = proxy.operator();
    stage.create("r1", round.spec("s1")).await;
    proxy.holds().await;
    operator.kill().unwrap();
    assert!(
        stage.resources().get("r1").await.unwrap().status.is_none(),
        "no status tells of the links"
    );
    stage.linked("deployer1", &["s1"], &[]).await;

    stage.change("r1", json!({ "spec": { "service_accounts": [{ "name": "builder1", "use": ["ImagePull", "Mount"] }] } })).await;
    let _restarted = stage.start().await;
    stage.ready("r1", "Refreshed").await;
    stage.linked("deployer1", &[], &[]).await;
    stage.linked("builder1", &["s1"], &["s1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_the_operator_was_away_is_unlinked_at_its_start() {
    let stage = Stage::prepare().await;
    let round = Round::new(&stage, 1).await;
    let mut operator = stage.start().await;
    stage.create("r1", round.spec("s1")).await;
    round.is_settled(&stage, "s1").await;
    operator.kill().unwrap();
    stage
        .resources()
        .delete("r1", &DeleteParams::default())
        .await
        .unwrap();
    let _restarted = stage.start().await;
    stage.linked("builder1", &[], &[]).await;
    stage.linked("deployer1", &[], &[]).await;
}
