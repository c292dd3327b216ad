//! A tenant's module decides within its limits, and whatever is wrong with it the last good decision
//! stays in force.

use std::time::Duration;

use ecr_secret_core::api::Status;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::recording::{Recording, Seen};
use crate::support::{SOON, Stage, eventually, password, spec, state};

mod broken;
mod compiled;
mod guardrail;
mod hostile;
mod images;
mod swap;

const MODULE: &str = "policy.wasm";

/// The spec of the samples with a policy.
fn policy_spec(generated: &str, policy: Value) -> Value {
    let mut spec = spec(generated);
    spec["policy"] = policy;
    spec
}

/// Both builds of a guest.
fn builds(name: &str) -> [String; 2] {
    [name.to_owned(), format!("{name}.wasip2")]
}

async fn label_as_default(stage: &Stage, config_map: &str, value: Value) {
    let patch =
        json!({ "metadata": { "labels": { "ecr.mobb.redhat.com/default-policy": value } } });
    stage
        .config_maps()
        .patch(config_map, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

/// Waits until a Secret holds another token than before.
async fn renewed(stage: &Stage, before: &Secret) -> Secret {
    let api = stage.secrets();
    let name = before.name_any();
    eventually(SOON, &format!("Secret {name} is renewed"), || async {
        api.get(&name)
            .await
            .ok()
            .filter(|secret| password(secret) != password(before))
    })
    .await
}

fn message<'a>(status: &'a Status, condition: &str) -> &'a str {
    &status.condition(condition).unwrap().message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_policy_decides_for_every_resource_that_names_none_and_two_are_told() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("plain", spec("plain")).await;
    let status = stage.ready("plain", "Refreshed").await;
    assert_eq!(status.policy, None);

    stage
        .upload("early", MODULE, Stage::guest("early-refresh"))
        .await;
    label_as_default(&stage, "early", json!("true")).await;
    let status = stage
        .status("plain", "the default policy decides", |status| {
            status
                .policy
                .as_ref()
                .is_some_and(|policy| policy.source == "configmap/early")
        })
        .await;
    let policy = status.policy.clone().unwrap();
    assert_eq!(policy.interface.as_deref(), Some("mobb:ecr-policy@1.0.0"));
    assert_eq!(
        policy.digest.as_deref(),
        Some(digest(&Stage::guest("early-refresh")).as_str())
    );
    assert_eq!(left(&status), 3 * 3600, "a quarter of twelve hours is left");
    // Settings without a ConfigMap are for the default policy.
    stage
        .create(
            "set",
            policy_spec(
                "set",
                json!({ "settings": { "before_expiry_percent": 50 } }),
            ),
        )
        .await;
    assert_eq!(left(&stage.ready("set", "Refreshed").await), 6 * 3600);

    stage.upload("other", MODULE, Stage::guest("default")).await;
    let before = stage.secret("plain").await;
    label_as_default(&stage, "other", json!("true")).await;
    for name in ["plain", "set"] {
        let status = stage.ready(name, "PolicyAmbiguous").await;
        let told = message(&status, "Ready");
        assert!(
            told.contains("early, other") && told.contains("stays valid until"),
            "{told}"
        );
    }
    assert_eq!(state(&stage.secret("plain").await), state(&before));
    label_as_default(&stage, "other", json!(null)).await;
    stage.ready("plain", "Refreshed").await;
    stage.ready("set", "Refreshed").await;
    // Without any, a resource that only has settings is told; one without a policy is served natively.
    label_as_default(&stage, "early", json!("false")).await;
    stage.ready("set", "PolicyMissing").await;
    stage
        .status("plain", "no policy decides", |status| {
            status.policy.is_none() && status.condition("Ready").unwrap().reason == "Refreshed"
        })
        .await;
}

/// Seconds between the next renewal and the end of the token.
fn left(status: &Status) -> i64 {
    let (next, end): (jiff::Timestamp, jiff::Timestamp) = (
        status.next_refresh_time.unwrap().into(),
        status.expires_at.unwrap().into(),
    );
    end.as_second() - next.as_second()
}

fn digest(bytes: &[u8]) -> String {
    ecr_secret_engine::digest(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_either_target_names_and_labels_by_its_settings() {
    let (stage, _operator) = Stage::with_operator().await;
    for guest in builds("team-prefix") {
        let (name, map) = (
            format!("a-{}", guest.replace('.', "-")),
            guest.replace('.', "-"),
        );
        stage.upload(&map, MODULE, Stage::guest(&guest)).await;
        let settings = json!({ "prefix": "team-a", "labels": { "cost-center": "1234" } });
        stage
            .create(
                &name,
                policy_spec(&name, json!({ "config_map": map, "settings": settings })),
            )
            .await;
        let generated = format!("team-a-{}-{name}", stage.namespace);
        let secret = stage.secret(&generated).await;
        let labels = secret.labels();
        assert_eq!(
            (labels["team"].as_str(), labels["cost-center"].as_str()),
            ("team-a", "1234"),
            "{guest}"
        );
        let status = stage.ready(&name, "Refreshed").await;
        assert_eq!(
            status.generated_secret_name,
            Some(generated.clone()),
            "{guest}"
        );

        // A label that the settings do not name any more goes; the token stays.
        stage.change_to(&name, json!({ "spec": { "policy": { "settings": { "labels": { "cost-center": null } } } } }), "Refreshed").await;
        let after = stage.secret(&generated).await;
        assert!(
            !after.labels().contains_key("cost-center") && after.labels().contains_key("team"),
            "{guest}"
        );
        assert_eq!(after.data, secret.data, "{guest}");

        let status = stage
            .change_to(
                &name,
                json!({ "spec": { "policy": { "settings": { "prefix": "Not A Prefix" } } } }),
                "PolicyInvalidSettings",
            )
            .await;
        assert!(
            message(&status, "Ready").contains("prefix: must be 1 to 63"),
            "{guest}"
        );
        assert_eq!(
            state(&stage.secret(&generated).await),
            state(&after),
            "{guest}"
        );
        let status = stage.change_to(&name, json!({ "spec": { "policy": { "settings": { "prefix": "team-a", "namespaces": ["elsewhere"] } } } }), "PolicyDenied").await;
        assert!(
            message(&status, "Ready").contains(&stage.namespace),
            "{guest}"
        );
        assert_eq!(
            state(&stage.secret(&generated).await),
            state(&after),
            "{guest}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_gets_the_label_of_a_policy_is_linked_without_touching_the_resource() {
    let (stage, _operator) = Stage::with_operator().await;
    for guest in builds("label-selected-accounts") {
        let map = guest.replace('.', "-");
        let (early, late) = (format!("early-{map}"), format!("late-{map}"));
        stage.upload(&map, MODULE, Stage::guest(&guest)).await;
        stage.create_account(&early, &[(&map, "true")]).await;
        stage.create(&map, policy_spec(&map, json!({ "config_map": map, "settings": { "label": map, "value": "true", "use": ["ImagePull", "Mount"] } }))).await;
        stage.linked(&early, &[&map], &[&map]).await;
        let generation = stage
            .resources()
            .get(&map)
            .await
            .unwrap()
            .metadata
            .generation;

        stage.create_account(&late, &[(&map, "true")]).await;
        stage
            .create_account(&format!("other-{map}"), &[(&map, "false")])
            .await;
        stage.linked(&late, &[&map], &[&map]).await;
        let unlabel = Patch::Merge(json!({ "metadata": { "labels": { (map.as_str()): null } } }));
        stage
            .accounts()
            .patch(&early, &PatchParams::default(), &unlabel)
            .await
            .unwrap();
        stage.linked(&early, &[], &[]).await;
        stage.linked(&format!("other-{map}"), &[], &[]).await;
        assert_eq!(
            stage
                .resources()
                .get(&map)
                .await
                .unwrap()
                .metadata
                .generation,
            generation
        );
    }
    assert_eq!(
        stage
            .aws
            .counts()
            .of(aws_double::Action::EcrGetAuthorizationToken),
        1,
        "links cost no token"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_decides_when_a_token_is_renewed() {
    let (stage, _operator) = Stage::with_operator().await;
    for guest in builds("early-refresh") {
        let map = guest.replace('.', "-");
        stage.upload(&map, MODULE, Stage::guest(&guest)).await;
        stage
            .create(
                &map,
                policy_spec(
                    &map,
                    json!({ "config_map": map, "settings": { "before_expiry_percent": 40 } }),
                ),
            )
            .await;
        assert_eq!(
            left(&stage.ready(&map, "Refreshed").await),
            12 * 3600 * 40 / 100,
            "{guest}"
        );
        let status = stage.change_to(&map, json!({ "spec": { "policy": { "settings": { "before_expiry_percent": null, "after_seconds": 3600 } } } }), "Refreshed").await;
        assert_eq!(left(&status), 11 * 3600, "{guest}");
    }
    // And then it is renewed: much earlier than frequency and life would have it.
    stage.aws.set_token_life(Duration::from_mins(2));
    let mut soon = policy_spec(
        "soon",
        json!({ "config_map": "early-refresh", "settings": { "after_seconds": 10 } }),
    );
    soon["region"] = json!("eu-west-1");
    stage.create("soon", soon).await;
    let first = stage.secret("soon").await;
    renewed(&stage, &renewed(&stage, &first).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_policy_moves_the_secret_to_its_new_name_with_no_moment_without_a_valid_one() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create_account("builder", &[]).await;
    let recording = Recording::start(&stage).await;
    stage
        .upload("policy", MODULE, Stage::guest("default"))
        .await;
    let mut spec = policy_spec(
        "plain",
        json!({ "config_map": "policy", "settings": { "prefix": "team-a" } }),
    );
    spec["service_accounts"] = json!([{ "name": "builder", "use": ["ImagePull", "Mount"] }]);
    stage.create("a", spec).await;
    stage.linked("builder", &["plain"], &["plain"]).await;
    let before = stage.ready("a", "Refreshed").await;

    stage
        .upload("policy", MODULE, Stage::guest("team-prefix.wasip2"))
        .await;
    let moved = format!("team-a-{}-plain", stage.namespace);
    stage.linked("builder", &[&moved], &[&moved]).await;
    recording
        .until("the old Secret goes", |seen| {
            *seen
                == Seen::SecretGone {
                    name: "plain".to_owned(),
                }
        })
        .await;
    recording
        .until(
            "the account names the new Secret",
            |seen| matches!(seen, Seen::Account { pull, .. } if *pull == [moved.clone()]),
        )
        .await;
    recording.assert_no_gap("builder", true);
    let after = stage
        .status("a", "the new policy decides", |status| {
            status.policy != before.policy
        })
        .await;
    assert_eq!(after.generated_secret_name, Some(moved));
    assert_eq!(
        after.policy.unwrap().digest.unwrap(),
        digest(&Stage::guest("team-prefix.wasip2"))
    );
    assert_eq!(
        stage
            .aws
            .counts()
            .of(aws_double::Action::EcrGetAuthorizationToken),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_policy_is_deleted_its_last_decision_renews_on_even_in_a_new_process() {
    let stage = Stage::prepare().await;
    stage.aws.set_token_life(Duration::from_mins(1));
    let mut operator = stage.start().await;
    stage
        .upload("named", MODULE, Stage::guest("team-prefix"))
        .await;
    stage
        .upload("timed", MODULE, Stage::guest("early-refresh"))
        .await;
    stage
        .create(
            "named",
            policy_spec(
                "x",
                json!({ "config_map": "named", "settings": { "prefix": "team-a" } }),
            ),
        )
        .await;
    stage
        .create(
            "timed",
            policy_spec(
                "timed",
                json!({ "config_map": "timed", "settings": { "after_seconds": 10 } }),
            ),
        )
        .await;
    let name = format!("team-a-{}-x", stage.namespace);
    stage.ready("named", "Refreshed").await;
    stage.ready("timed", "Refreshed").await;

    for map in ["named", "timed"] {
        stage
            .config_maps()
            .delete(map, &DeleteParams::default())
            .await
            .unwrap();
    }
    for resource in ["named", "timed"] {
        let status = stage.ready(resource, "PolicyMissing").await;
        assert_eq!(status.condition("Ready").unwrap().status.as_str(), "False");
        assert!(
            message(&status, "Ready").contains(&format!("ConfigMap {resource}"))
                && message(&status, "Ready").contains("stays valid until")
        );
    }
    let timed = renewed(&stage, &stage.secret("timed").await).await;
    stage.ready("timed", "PolicyMissing").await;

    operator.terminate(SOON).await.unwrap();
    let _operator = stage.start().await;
    renewed(&stage, &timed).await;
    let named = stage.secret(&name).await;
    Stage::old_enough_for_a_refresh(&named).await;
    stage.request_refresh("named", "now").await;
    let named = renewed(&stage, &named).await;
    assert_eq!(named.labels()["team"], "team-a");
    stage.ready("named", "PolicyMissing").await;
    stage
        .upload("named", MODULE, Stage::guest("team-prefix"))
        .await;
    stage.ready("named", "Refreshed").await;
}
