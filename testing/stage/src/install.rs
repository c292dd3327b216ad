//! Applies the shipped manifests.

use anyhow::{Context, Result};
use ecr_secret_core::api::FIELD_MANAGER;
use ecr_secret_core::manifests::{Installation, crds_yaml};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt, discovery};
use serde_json::Value;
use std::time::Duration;

/// Applies the CRDs, and waits until the API server serves them.
///
/// # Errors
/// The API server refuses one.
pub async fn install_crds(client: &Client) -> Result<()> {
    apply(client, &crds_yaml(), |_| true).await?;
    for plural in ["secrets", "argohelmreposecrets"] {
        test_cluster::eventually(Duration::from_secs(20), plural, || async {
            let path = format!("/apis/ecr.mobb.redhat.com/v1alpha1/{plural}?limit=1");
            let request = http::Request::get(path).body(Vec::new()).ok()?;
            client.request_text(request).await.ok()
        })
        .await;
    }
    Ok(())
}

/// Applies CRDs, service account and RBAC of an installation; not the Deployment, whose pod is our process.
///
/// # Errors
/// The API server refuses a manifest.
pub async fn install(client: &Client, installation: &Installation) -> Result<()> {
    install_crds(client).await?;
    apply(client, &installation.operator_yaml(), |kind| {
        kind != "Deployment"
    })
    .await?;
    apply(client, &installation.rbac_yaml(), |_| true).await
}

/// Applies what the metrics of an installation need.
///
/// # Errors
/// The API server refuses a manifest.
pub async fn install_metrics(client: &Client, installation: &Installation) -> Result<()> {
    apply(client, &installation.metrics_yaml(), |_| true).await
}

/// Server-side applies each document of a YAML stream whose kind is wanted.
async fn apply(client: &Client, yaml: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
    for document in serde_norway::Deserializer::from_str(yaml) {
        let value: Value = serde::Deserialize::deserialize(document)?;
        let object: DynamicObject = serde_json::from_value(value)?;
        let types = object.types.clone().context("a manifest without a kind")?;
        if !wanted(&types.kind) {
            continue;
        }
        let kind = GroupVersionKind::try_from(&types)?;
        let (resource, _) = discovery::pinned_kind(client, &kind).await?;
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let name = object.name_any();
        api.patch(&name, &params, &Patch::Apply(&object))
            .await
            .with_context(|| format!("apply {} {name}", kind.kind))?;
    }
    Ok(())
}
