//! Nobody's Secret is taken over by accident, and no Secret goes before its successor is there.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::ArgoHelmRepoSecret;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use aws_double::{Action, Fault};

use crate::recording::{Recording, Seen};
use crate::support::{REGISTRY, SOON, Stage, eventually, password, spec, state, text};

/// A garbage collector that has not seen the CRD yet looks for new kinds every 30 s, and what meets a
/// stranger's Secret looks again after 60 s.
const COLLECTED: Duration = Duration::from_secs(100);

async fn create_secret(stage: &Stage, name: &str, mut object: Value) -> Secret {
    object["metadata"]["name"] = json!(name);
    stage
        .secrets()
        .create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap()
}

/// A Secret of a user, for another registry.
fn users_secret() -> Value {
    let config = json!({ "auths": { "quay.io": { "username": "me", "password": "mine", "auth": STANDARD.encode("me:mine") } } });
    json!({ "type": "kubernetes.io/dockerconfigjson", "metadata": {}, "stringData": { ".dockerconfigjson": config.to_string() } })
}

async fn create_argo(stage: &Stage, name: &str, generated: &str) {
    let object = json!({
        "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "ArgoHelmRepoSecret", "metadata": { "name": name },
        "spec": { "generated_secret_name": generated, "url": REGISTRY, "frequency": "10h", "region": "us-east-2" },
    });
    stage
        .argo_resources()
        .create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
}

async fn argo_ready(stage: &Stage, name: &str, reason: &str) -> ArgoHelmRepoSecret {
    let api = stage.argo_resources();
    eventually(
        COLLECTED,
        &format!("{name} is Ready with reason {reason}"),
        || async {
            let resource = api.get(name).await.map_err(|error| error.to_string())?;
            let status = resource.status.clone().unwrap_or_default();
            let found = status
                .condition("Ready")
                .is_some_and(|ready| ready.reason == reason);
            if found {
                Ok(resource)
            } else {
                Err(serde_json::to_string(&status).unwrap())
            }
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_is_refused_and_only_adoption_takes_it_over_if_nothing_else_controls_it() {
    let stage = Stage::prepare().await;
    let keeper: ConfigMap =
        serde_json::from_value(json!({ "metadata": { "name": "keeper" } })).unwrap();
    let keeper = stage
        .config_maps()
        .create(&PostParams::default(), &keeper)
        .await
        .unwrap();
    let owner = |controller: bool| json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "keeper", "uid": keeper.uid(), "controller": controller }]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut object = users_secret();
        change(&mut object);
        object
    };
    // The name, the Secret, a word of the message, and whether adoption helps.
    let cases = [
        (
            "other-content",
            users_secret(),
            "holds something else",
            true,
        ),
        (
            "owned",
            with(&|object| object["metadata"]["ownerReferences"] = owner(false)),
            "belongs to ConfigMap keeper",
            true,
        ),
        (
            "controlled",
            with(&|object| object["metadata"]["ownerReferences"] = owner(true)),
            "ConfigMap keeper controls it",
            false,
        ),
        (
            "immutable",
            with(&|object| object["immutable"] = json!(true)),
            "immutable",
            false,
        ),
        (
            "opaque",
            json!({ "type": "Opaque", "metadata": {}, "stringData": { "password": "mine" } }),
            "type",
            false,
        ),
    ];
    let mut before = Vec::new();
    for (name, object, _, _) in &cases {
        before.push(create_secret(&stage, name, object.clone()).await);
        let mut spec = spec(name);
        spec["service_accounts"] = json!([{ "name": "default" }]);
        stage.create(name, spec).await;
    }
    let _operator = stage.start().await;
    for ((name, _, word, _), secret) in cases.iter().zip(&before) {
        let status = stage.ready(name, "SecretConflict").await;
        let ready = status.condition("Ready").unwrap();
        assert_eq!(ready.status.as_str(), "False", "{name}");
        assert!(
            ready.message.contains(&format!("Secret {name} exists"))
                && ready.message.contains(word),
            "{name}: {}",
            ready.message
        );
        assert_eq!(
            (status.generated_secret_name, status.phase),
            (None, None),
            "{name}: it has no Secret"
        );
        assert_eq!(
            state(&stage.secret(name).await),
            state(secret),
            "{name}: it was touched"
        );
    }
    stage.linked("default", &[], &[]).await;

    for ((name, _, _, adoptable), secret) in cases.iter().zip(&before) {
        let reason = if *adoptable {
            "Refreshed"
        } else {
            "SecretConflict"
        };
        stage
            .change_to(name, json!({ "spec": { "adopt": true } }), reason)
            .await;
        let after = stage.secret(name).await;
        if *adoptable {
            assert_eq!(after.metadata.uid, secret.metadata.uid, "{name}: in place");
            assert!(aws_double::issued(&password(&after)).is_some(), "{name}");
            assert!(
                after
                    .owner_references()
                    .iter()
                    .any(|owner| owner.kind == "Secret" && owner.controller == Some(true)),
                "{name}"
            );
        } else {
            assert_eq!(state(&after), state(secret), "{name}: it was touched");
        }
    }
    stage
        .linked("default", &["other-content", "owned"], &[])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_resources_that_want_the_same_name_the_second_waits_until_the_first_is_gone() {
    let (stage, _operator) = Stage::with_operator().await;
    for name in ["shared", "mixed"] {
        stage.create(&format!("first-{name}"), spec(name)).await;
        stage.ready(&format!("first-{name}"), "Refreshed").await;
    }
    let before = [stage.secret("shared").await, stage.secret("mixed").await];
    stage.create("second-shared", spec("shared")).await;
    create_argo(&stage, "second-mixed", "mixed").await;
    let second = stage.ready("second-shared", "SecretOwnedByOther").await;
    let message = &second.condition("Ready").unwrap().message;
    assert!(
        message.contains("Secret shared is kept by Secret first-shared"),
        "{message}"
    );
    assert_eq!(second.generated_secret_name, None);
    let argo = argo_ready(&stage, "second-mixed", "SecretOwnedByOther")
        .await
        .status
        .unwrap();
    assert!(
        argo.condition("Ready")
            .unwrap()
            .message
            .contains("Secret first-mixed")
    );
    assert_eq!(
        [stage.secret("shared").await, stage.secret("mixed").await].map(|secret| state(&secret)),
        before.each_ref().map(state)
    );
    stage.ready("first-shared", "Refreshed").await;

    for name in ["shared", "mixed"] {
        stage
            .resources()
            .delete(&format!("first-{name}"), &DeleteParams::default())
            .await
            .unwrap();
    }
    stage
        .ready_within(COLLECTED, "second-shared", "Refreshed")
        .await;
    argo_ready(&stage, "second-mixed", "Refreshed").await;
    let after = stage.secret("shared").await;
    assert_ne!(after.metadata.uid, before[0].metadata.uid);
    assert_eq!(after.owner_references()[0].name, "second-shared");
    assert_eq!(
        stage.secret("mixed").await.type_.as_deref(),
        Some("Opaque"),
        "the Secret is of the second's kind now"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_writes_and_links_the_new_secret_before_the_old_one_goes() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create_account("builder", &[]).await;
    let recording = Recording::start(&stage).await;
    let mut spec = spec("old");
    spec["service_accounts"] = json!([{ "name": "builder", "use": ["ImagePull", "Mount"] }]);
    stage.create("a", spec).await;
    stage.linked("builder", &["old"], &["old"]).await;

    stage
        .change_to(
            "a",
            json!({ "spec": { "generated_secret_name": "new" } }),
            "Refreshed",
        )
        .await;
    stage.linked("builder", &["new"], &["new"]).await;
    recording
        .until("the old Secret goes", |seen| {
            *seen
                == Seen::SecretGone {
                    name: "old".to_owned(),
                }
        })
        .await;
    recording
        .until(
            "the account names the new Secret",
            |seen| matches!(seen, Seen::Account { pull, .. } if pull.as_slice() == ["new"]),
        )
        .await;
    recording.assert_no_gap("builder", true);
    assert_eq!(
        stage.aws.counts().of(Action::EcrGetAuthorizationToken),
        1,
        "the new Secret holds the token of the old one"
    );
    let status = stage.ready("a", "Refreshed").await;
    assert_eq!(status.generated_secret_name.as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_has_to_wait_for_aws_keeps_the_old_secret_in_use() {
    let stage = Stage::prepare().await;
    stage.create_account("builder", &[]).await;
    let recording = Recording::start(&stage).await;
    let mut operator = stage.start().await;
    let mut spec = spec("old");
    spec["service_accounts"] = json!([{ "name": "builder" }]);
    stage.create("a", spec).await;
    stage.linked("builder", &["old"], &[]).await;
    stage.ready("a", "Refreshed").await;
    let before = stage.secret("old").await;

    // A new process has no token in its memory.
    operator.terminate(SOON).await.unwrap();
    stage.aws.set_fault(Fault::ServerError { status: 500 });
    stage
        .change("a", json!({ "spec": { "generated_secret_name": "new" } }))
        .await;
    let _operator = stage.start().await;
    let status = stage.ready("a", "AwsError").await;
    assert!(
        status
            .condition("Ready")
            .unwrap()
            .message
            .contains("Secret old stays valid until")
    );
    assert_eq!(status.generated_secret_name.as_deref(), Some("old"));
    assert_eq!(state(&stage.secret("old").await), state(&before));
    stage.linked("builder", &["old"], &[]).await;

    stage.aws.clear_faults();
    stage.ready_within(3 * SOON, "a", "Refreshed").await;
    stage.linked("builder", &["new"], &[]).await;
    recording
        .until("the old Secret goes", |seen| {
            *seen
                == Seen::SecretGone {
                    name: "old".to_owned(),
                }
        })
        .await;
    recording.assert_no_gap("builder", false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_to_a_foreign_name_keeps_the_old_secret() {
    let (stage, _operator) = Stage::with_operator().await;
    create_secret(&stage, "foreign", users_secret()).await;
    let foreign = stage.secret("foreign").await;
    let mut spec = spec("old");
    spec["service_accounts"] = json!([{ "name": "default" }]);
    stage.create("a", spec).await;
    stage.linked("default", &["old"], &[]).await;
    stage.ready("a", "Refreshed").await;
    let before = stage.secret("old").await;
    let status = stage
        .change_to(
            "a",
            json!({ "spec": { "generated_secret_name": "foreign" } }),
            "SecretConflict",
        )
        .await;
    assert!(
        status
            .condition("Ready")
            .unwrap()
            .message
            .contains("Secret old stays valid until")
    );
    assert_eq!(state(&stage.secret("foreign").await), state(&foreign));
    assert_eq!(state(&stage.secret("old").await), state(&before));
    stage.linked("default", &["old"], &[]).await;
    // The one that is left is renewed.
    Stage::old_enough_for_a_refresh(&before).await;
    stage.request_refresh("a", "now").await;
    let api = stage.secrets();
    eventually(SOON, "the old Secret is renewed", || async {
        api.get("old")
            .await
            .ok()
            .filter(|secret| password(secret) != password(&before))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_argo_secret_is_taken_over_in_place() {
    let stage = Stage::prepare().await;
    let old = json!({
        "type": "Opaque", "metadata": { "labels": { "argocd.argoproj.io/secret-type": "repository" } },
        "stringData": { "username": "AWS", "password": "old", "url": REGISTRY, "type": "helm", "enableOCI": "true", "name": "charts" },
    });
    let before = create_secret(&stage, "charts", old).await;
    create_argo(&stage, "a", "charts").await;
    let _operator = stage.start().await;
    argo_ready(&stage, "a", "Refreshed").await;
    let after = stage.secret("charts").await;
    assert_eq!(after.metadata.uid, before.metadata.uid, "in place");
    assert!(aws_double::issued(&text(&after, "password")).is_some());
    assert_eq!(after.data.as_ref().unwrap().len(), 6);
    assert_eq!(
        after.labels()["argocd.argoproj.io/secret-type"],
        "repository"
    );
    let owner = &after.owner_references()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.name.as_str(), owner.controller),
        ("ArgoHelmRepoSecret", "a", Some(true))
    );
}
