//! The writes of a bare client: one Secret, one status and one event a resource, as the operator does.

use anyhow::Result;
use ecr_secret_core::api::EcrSecret;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

/// The size of a `.dockerconfigjson` with a token of usual length.
const DATA_BYTES: usize = 5_000;

/// Writes what one resource needs.
pub(crate) async fn bare(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let data = format!(
        r#"{{"auths":{{"{name}":{{"auth":"{}"}}}}}}"#,
        "x".repeat(DATA_BYTES)
    );
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(format!("generated-{name}")),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/dockerconfigjson".into()),
        data: Some(
            [(
                ".dockerconfigjson".to_owned(),
                ByteString(data.into_bytes()),
            )]
            .into(),
        ),
        ..Secret::default()
    };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    secrets.create(&PostParams::default(), &secret).await?;

    let now = Timestamp::now().to_string();
    let condition = json!({ "type": "Ready", "status": "True", "reason": "Refreshed", "message": "bare", "lastTransitionTime": now });
    let status = json!({ "status": { "phase": "Updated", "lastUpdatedTime": now, "conditions": [condition] } });
    let resources: Api<EcrSecret> = Api::namespaced(client.clone(), namespace);
    resources
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await?;

    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event"));
    let events: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": format!("{name}.bare") },
        "eventTime": format!("{:.6}", Timestamp::now()), "type": "Normal", "reason": "Refreshed", "action": "Reconcile",
        "reportingController": "bench", "reportingInstance": "bench",
        "regarding": { "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "name": name, "namespace": namespace },
    });
    events
        .create(&PostParams::default(), &serde_json::from_value(event)?)
        .await?;
    Ok(())
}
