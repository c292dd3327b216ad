//! The bundle, with the parts that count in an upgrade: names, selectors and schemas.

use crate::catalog::{Bundle, PACKAGE};
use anyhow::{Context, Result};
use serde_json::{Value, json};

const VERSION: &str = "0.6.0";
/// Its Deployment and service account. Ours have to have the same name.
const WORKLOAD: &str = "ecr-secret-operator-controller-manager";
const SERVICE: &str = "ecr-secret-operator-controller-manager-metrics-service";

/// Its bundle, with this image as its manager.
///
/// # Errors
/// The shipped bundle has no annotations, which are the same.
pub fn bundle(image: &str) -> Result<Bundle> {
    let metadata = "/metadata/annotations.yaml";
    let shipped = Bundle::shipped()?.files.into_iter();
    let annotations = shipped
        .filter(|(path, _)| path == metadata)
        .map(|(_, text)| text)
        .next()
        .context("the bundle has no annotations.yaml")?;
    let name = format!("{PACKAGE}.v{VERSION}");
    let mut files = vec![(metadata.to_owned(), annotations)];
    let manifests = [csv(&name, image), service()];
    let crds = [
        crd("Secret", "secrets", "ecr_registry"),
        crd("ArgoHelmRepoSecret", "argohelmreposecrets", "url"),
    ];
    for (number, manifest) in manifests.iter().chain(&crds).enumerate() {
        files.push((
            format!("/manifests/{number}.yaml"),
            serde_norway::to_string(manifest)?,
        ));
    }
    Ok(Bundle {
        entry: json!({ "name": name }),
        name,
        files,
    })
}

fn crd(kind: &str, plural: &str, place: &str) -> Value {
    let text = json!({ "type": "string" });
    let schema = json!({
        "type": "object",
        "properties": {
            "apiVersion": text,
            "kind": text,
            "metadata": { "type": "object" },
            "spec": {
                "type": "object",
                "required": ["frequency", "generated_secret_name", "region", place],
                "properties": {
                    "frequency": text,
                    "generated_secret_name": text,
                    "region": text,
                    (place): text,
                },
            },
            "status": {
                "type": "object",
                "properties": { "phase": text, "lastUpdatedTime": { "type": "string", "format": "date-time" } },
            },
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.ecr.mobb.redhat.com") },
        "spec": {
            "group": "ecr.mobb.redhat.com",
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "plural": plural,
                "singular": kind.to_lowercase(),
            },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": schema },
                "subresources": { "status": {} },
            }],
        },
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": SERVICE, "labels": { "control-plane": "controller-manager" } },
        "spec": {
            "ports": [{ "name": "https", "port": 8443, "protocol": "TCP", "targetPort": "https" }],
            "selector": { "control-plane": "controller-manager" },
        },
    })
}

fn csv(name: &str, image: &str) -> Value {
    let owned = [
        ("Secret", "secrets"),
        ("ArgoHelmRepoSecret", "argohelmreposecrets"),
    ];
    let owned = owned.map(|(kind, plural)| {
        json!({ "kind": kind, "name": format!("{plural}.ecr.mobb.redhat.com"), "version": "v1alpha1" })
    });
    let modes = [
        "OwnNamespace",
        "SingleNamespace",
        "MultiNamespace",
        "AllNamespaces",
    ];
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": { "name": name, "annotations": { "capabilities": "Basic Install" } },
        "spec": {
            "displayName": "ECR Secret Operator",
            "version": VERSION,
            "maturity": "alpha",
            "installModes": modes.map(|mode| json!({ "type": mode, "supported": true })).to_vec(),
            "customresourcedefinitions": { "owned": owned.to_vec() },
            "install": { "strategy": "deployment", "spec": {
                "clusterPermissions": [{ "serviceAccountName": WORKLOAD, "rules": [{
                    "apiGroups": [""],
                    "resources": ["secrets"],
                    "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
                }] }],
                "deployments": [deployment(image)],
            } },
        },
    })
}

fn deployment(image: &str) -> Value {
    let labels = json!({ "control-plane": "controller-manager" });
    json!({
        "name": WORKLOAD,
        "label": labels,
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "serviceAccountName": WORKLOAD,
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": "manager",
                        "image": image,
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                },
            },
        },
    })
}
