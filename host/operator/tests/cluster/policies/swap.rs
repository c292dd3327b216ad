//! A new version of a module takes over when it answers what the one before it answers, and not before.

use std::time::Duration;

use ecr_secret_core::api::Status;
use serde_json::json;

use super::{MODULE, digest, message, policy_spec, renewed};
use crate::support::{SOON, Stage, eventually, is_alive};

fn decided_by(module: &[u8]) -> impl Fn(&Status) -> bool {
    let digest = digest(module);
    move |status| {
        let policy = status.policy.as_ref();
        policy.and_then(|policy| policy.digest.as_ref()) == Some(&digest)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_new_version_fails_the_one_before_it_decides_renews_and_survives_a_restart() {
    let mut stage = Stage::prepare().await;
    stage.aws.set_token_life(Duration::from_secs(8));
    stage.keep_compiled_policies();
    let mut operator = stage.start().await;
    let good = Stage::guest("team-prefix");
    stage.upload("p", MODULE, good.clone()).await;
    let policy = json!({ "config_map": "p", "settings": { "prefix": "web" } });
    stage.create("a", policy_spec("one", policy)).await;
    stage.ready("a", "Refreshed").await;
    let name = |own: &str| format!("web-{}-{own}", stage.namespace);
    let (one, two, three) = (name("one"), name("two"), name("three"));

    // These settings are not the hostile policy's, and the next module is none at all.
    stage.upload("p", MODULE, Stage::guest("hostile")).await;
    let status = stage.ready("a", "PolicyInvalidSettings").await;
    let told = message(&status, "Ready");
    assert!(
        told.contains(&format!("the version {} goes on", &digest(&good)[..12])),
        "{told}"
    );
    assert!(told.contains("prefix"), "{told}");
    renewed(&stage, &stage.secret(&one).await).await;
    // It is the version that goes on, not only its last decision.
    let rename = |own: &str| json!({ "spec": { "generated_secret_name": own } });
    stage.change("a", rename("two")).await;
    stage.secret(&two).await;
    stage.upload("p", MODULE, b"no module".to_vec()).await;
    let status = stage.ready("a", "PolicyNotAComponent").await;
    assert!(decided_by(&good)(&status), "{status:?}");

    assert!(operator.terminate(SOON).await.unwrap().success());
    let _operator = stage.start().await;
    stage.change("a", rename("three")).await;
    let secret = stage.secret(&three).await;
    assert!(is_alive(&secret));
    renewed(&stage, &secret).await;

    stage.upload("p", MODULE, good).await;
    stage.ready("a", "Refreshed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_one_of_two_resources_cannot_have_takes_over_from_neither_and_then_from_both()
 {
    let (stage, _operator) = Stage::with_operator().await;
    let (before, after) = (Stage::guest("early-refresh"), Stage::guest("team-prefix"));
    stage.upload("p", MODULE, before.clone()).await;
    let policy = json!({ "config_map": "p" });
    for name in ["a", "b"] {
        stage.create(name, policy_spec(name, policy.clone())).await;
        stage.ready(name, "Refreshed").await;
    }
    stage.upload("p", MODULE, after.clone()).await;
    for name in ["a", "b"] {
        let status = stage.ready(name, "PolicyInvalidSettings").await;
        assert!(decided_by(&before)(&status), "{status:?}");
    }
    let settings = json!({ "spec": { "policy": { "settings": { "prefix": "web" } } } });
    stage.change("a", settings.clone()).await;
    // Now the new one answers for `a`, but not for `b`, and the old one refuses the settings of `a`.
    let told = |status: &Status| {
        let ready = status.condition("Ready").unwrap();
        ready.message.contains("(for b)") && ready.observed_generation == status.observed_generation
    };
    stage.status("a", "it waits for b", told).await;
    stage.change("b", settings).await;
    for name in ["a", "b"] {
        let done = |status: &Status| {
            decided_by(&after)(status) && status.condition("Ready").unwrap().reason == "Refreshed"
        };
        stage.status(name, "the new version decides", done).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_renewal_is_missed_over_five_hundred_swaps() {
    const RESOURCES: usize = 10;
    const SWAPS: usize = 500;
    let stage = Stage::prepare().await;
    // An eighth of it is left when a renewal is due: time enough on a busy machine.
    stage.aws.set_token_life(Duration::from_secs(16));
    let mut operator = stage.start().await;
    let modules = [Stage::guest("default"), Stage::guest("early-refresh")];
    stage.upload("p", MODULE, modules[0].clone()).await;
    let names: Vec<String> = (0..RESOURCES).map(|number| format!("r{number}")).collect();
    for name in &names {
        let policy = json!({ "config_map": "p" });
        stage.create(name, policy_spec(name, policy)).await;
    }
    for name in &names {
        stage.ready(name, "Refreshed").await;
    }
    let (mut renewals, mut swap) = (0, 0);
    let mut last = vec![None; RESOURCES];
    // On a fast machine five hundred swaps are over before a renewal is due: then there are more.
    while swap < SWAPS || renewals < RESOURCES {
        swap += 1;
        assert!(swap < 100 * SWAPS, "only {renewals} renewals were seen");
        stage.upload("p", MODULE, modules[swap % 2].clone()).await;
        if swap % 10 == 0 {
            for (name, last) in names.iter().zip(&mut last) {
                let secret = stage.secret(name).await;
                assert!(
                    is_alive(&secret),
                    "{name} holds a dead token after {swap} swaps"
                );
                renewals += usize::from(last.as_ref().is_some_and(|data| *data != secret.data));
                *last = Some(secret.data);
            }
        }
    }
    for name in &names {
        let done = |status: &Status| {
            decided_by(&modules[swap % 2])(status)
                && status.condition("Ready").unwrap().reason == "Refreshed"
        };
        stage.status(name, "the last version decides", done).await;
    }
    eventually(SOON, "the operator is well", || async {
        operator
            .health("/readyz")
            .await
            .ok()
            .filter(|(code, _)| *code == 200)
    })
    .await;
    assert!(operator.is_running().unwrap());
}
