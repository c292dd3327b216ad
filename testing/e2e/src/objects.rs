//! Any kind of object by its manifest, and a few questions that lanes share.

use anyhow::{Context, Result, ensure};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt, discovery};
use serde_json::Value;
use std::time::Duration;

use crate::until;

const FIELD_MANAGER: &str = "e2e";

/// Applies a manifest on the server's side.
///
/// # Errors
/// The API server does not know the kind, or refuses.
pub async fn apply(client: &Client, manifest: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(manifest).context("read a manifest")?;
    let api = api(client, &object).await?;
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let name = object.name_any();
    let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
    applied.map(drop).with_context(|| format!("apply {name}"))
}

/// Applies every document of a YAML stream.
///
/// # Errors
/// As [`apply`].
pub async fn apply_yaml(client: &Client, yaml: &str) -> Result<()> {
    for manifest in documents(yaml)? {
        apply(client, manifest).await?;
    }
    Ok(())
}

/// The objects of a YAML stream.
///
/// # Errors
/// It is not YAML.
pub fn documents(yaml: &str) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for document in serde_norway::Deserializer::from_str(yaml) {
        let value: Value = serde::Deserialize::deserialize(document).context("read YAML")?;
        // A stream may have documents with nothing but comments.
        if !value.is_null() {
            documents.push(value);
        }
    }
    Ok(documents)
}

/// All objects of a kind, or those of one namespace.
///
/// # Errors
/// The API server does not know the kind.
pub async fn all(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Result<Api<DynamicObject>> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = GroupVersionKind::gvk(group, version, kind);
    let (resource, _) = discovery::pinned_kind(client, &kind)
        .await
        .with_context(|| format!("find the kind {}", kind.kind))?;
    Ok(match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}

async fn api(client: &Client, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let types = object.types.as_ref().context("a manifest without a kind")?;
    let namespace = object.namespace();
    all(
        client,
        &types.api_version,
        &types.kind,
        namespace.as_deref(),
    )
    .await
}

/// Waits until all definitions of kinds are served.
///
/// # Errors
/// One is not in time.
pub async fn wait_for_crds(client: &Client) -> Result<()> {
    let api = "apiextensions.k8s.io/v1";
    let crds = all(client, api, "CustomResourceDefinition", None).await?;
    until(Duration::from_secs(30), "the CRDs", async || {
        for crd in crds.list(&ListParams::default()).await? {
            let served = condition(&crd, "Established");
            ensure!(
                served.is_some_and(|served| served["status"] == "True"),
                "{} is not established",
                crd.name_any()
            );
        }
        Ok(())
    })
    .await
}

/// A condition of an object's status.
pub fn condition<'a>(object: &'a DynamicObject, kind: &str) -> Option<&'a Value> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// A namespace in which only restricted pods may run.
///
/// # Errors
/// The API server refuses.
pub async fn restricted_namespace(client: &Client, name: &str) -> Result<()> {
    let namespace = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        },
    });
    apply(client, namespace).await
}

/// Deletes a namespace and waits until it is gone with all that is in it.
///
/// # Errors
/// It is not gone in time; the error tells what is left.
pub async fn delete_namespace(client: &Client, name: &str) -> Result<()> {
    let namespaces = all(client, "v1", "Namespace", None).await?;
    namespaces
        .delete(name, &DeleteParams::default())
        .await
        .with_context(|| format!("delete the namespace {name}"))?;
    until(
        Duration::from_mins(1),
        &format!("the end of the namespace {name}"),
        async || {
            let left = namespaces.get_opt(name).await?;
            let conditions = left.as_ref().map(|left| &left.data["status"]["conditions"]);
            ensure!(left.is_none(), "it is there: {conditions:?}");
            Ok(())
        },
    )
    .await
}
