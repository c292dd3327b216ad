//! One resource that nobody can read stops nothing.
//!
//! The CRD that we ship refuses such a resource. It is met all the same where an administrator, or a
//! newer version, has installed another CRD: here one that lets everything pass, on a control plane of
//! its own, because all other tests need the shipped one.

use std::sync::Arc;

use ecr_secret_core::api::{EcrSecret, Status};
use ecr_secret_core::manifests::Scope;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use test_cluster::ControlPlane;

use crate::support::{SOON, Stage, eventually, spec, state};

/// A stage whose CRD accepts any spec.
async fn loosened() -> Stage {
    let plane = ControlPlane::start(test_cluster::Options::default())
        .await
        .unwrap();
    let stage = Stage::prepare_on(Arc::new(plane), |own| {
        Scope::Namespaces(vec![own.to_owned()])
    })
    .await;
    let anything =
        json!({ "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true });
    let patch = json!([{ "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": anything }]).to_string();
    stage
        .cluster
        .run_kubectl(&[
            "patch",
            "crd",
            "secrets.ecr.mobb.redhat.com",
            "--type=json",
            "-p",
            &patch,
        ])
        .unwrap();
    stage
}

/// The resources, whatever is in them.
fn dynamic(stage: &Stage) -> Api<DynamicObject> {
    Api::namespaced_with(
        stage.client.clone(),
        &stage.namespace,
        &ApiResource::erase::<EcrSecret>(&()),
    )
}

async fn create(stage: &Stage, name: &str, spec: Value) {
    let object = json!({ "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "metadata": { "name": name }, "spec": spec });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let api = dynamic(stage);
    // The API server takes a moment to obey the CRD.
    eventually(SOON, &format!("{name} is admitted"), || async {
        api.create(&PostParams::default(), &object).await
    })
    .await;
}

async fn change(stage: &Stage, name: &str, spec: Value) {
    dynamic(stage)
        .patch(
            name,
            &PatchParams::default(),
            &Patch::Merge(json!({ "spec": spec })),
        )
        .await
        .unwrap();
}

/// Waits for the word that a resource cannot be read.
async fn told(stage: &Stage, name: &str) -> Status {
    let api = dynamic(stage);
    eventually(
        SOON,
        &format!("{name} is told that it cannot be read"),
        || async {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let status: Status = serde_json::from_value(object.data["status"].clone())
                .map_err(|error| error.to_string())?;
            let found = status.observed_generation == object.metadata.generation
                && status
                    .condition("Ready")
                    .is_some_and(|ready| ready.reason == "InvalidResource");
            if found {
                Ok(status)
            } else {
                Err(object.data["status"].to_string())
            }
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_cannot_be_read_is_told_and_the_good_ones_are_served() {
    let stage = loosened().await;
    stage.create_account("builder", &[]).await;
    let bad = [
        (
            "a-list-of-nothing",
            json!({ "service_accounts": "all" }),
            "string \"all\"",
        ),
        ("a-number", json!({ "ecr_registry": 7 }), "integer `7`"),
        (
            "an-unknown-use",
            json!({ "service_accounts": [{ "name": "builder", "use": ["Push"] }] }),
            "Push",
        ),
    ];
    for (name, wrong, _) in &bad {
        let mut spec = spec(name);
        spec.as_object_mut()
            .unwrap()
            .extend(wrong.as_object().unwrap().clone());
        create(&stage, name, spec).await;
    }
    create(&stage, "good", spec("good")).await;
    let mut operator = stage.start().await;
    stage.secret("good").await;
    for (name, _, word) in &bad {
        let status = told(&stage, name).await;
        let ready = status.condition("Ready").unwrap();
        assert_eq!(ready.status.as_str(), "False", "{name}");
        assert!(
            ready.message.contains(word) && !ready.message.contains('\n'),
            "{name}: {}",
            ready.message
        );
        assert!(
            stage.secrets().get_opt(name).await.unwrap().is_none(),
            "{name}"
        );
        let events = stage
            .cluster
            .run_kubectl(&[
                "get",
                "events",
                "-n",
                &stage.namespace,
                "--field-selector",
                &format!("involvedObject.name={name}"),
            ])
            .unwrap();
        assert!(events.contains("InvalidResource"), "{name}: {events}");
    }
    // One that comes later is served too, and a bad one that is corrected is served without a restart.
    let mut linked = spec("late");
    linked["service_accounts"] = json!([{ "name": "builder", "use": ["ImagePull", "Mount"] }]);
    create(&stage, "late", linked).await;
    stage.linked("builder", &["late"], &["late"]).await;
    change(
        &stage,
        "a-number",
        json!({ "ecr_registry": crate::support::REGISTRY }),
    )
    .await;
    stage.secret("a-number").await;

    // One that was served and is damaged keeps its Secret and its links, even in a new process.
    let before = stage.secret("late").await;
    for damage in ["all", "none"] {
        change(&stage, "late", json!({ "service_accounts": damage })).await;
        let status = told(&stage, "late").await;
        let message = &status.condition("Ready").unwrap().message;
        assert!(
            message.contains("Secret late stays valid until"),
            "{message}"
        );
        assert_eq!(status.generated_secret_name.as_deref(), Some("late"));
        operator.terminate(SOON).await.unwrap();
        operator = stage.start().await;
    }
    create(&stage, "last", spec("last")).await;
    stage.secret("last").await;
    // An account is looked at when it changes.
    stage
        .accounts()
        .patch(
            "builder",
            &PatchParams::default(),
            &Patch::Merge(json!({ "metadata": { "labels": { "changed": "yes" } } })),
        )
        .await
        .unwrap();
    create(&stage, "shares", json!({ "generated_secret_name": "shares", "ecr_registry": crate::support::REGISTRY, "region": "us-east-2", "service_accounts": [{ "name": "builder" }] })).await;
    stage
        .linked("builder", &["late", "shares"], &["late"])
        .await;
    assert_eq!(state(&stage.secret("late").await), state(&before));
    assert!(operator.is_running().unwrap());
}
