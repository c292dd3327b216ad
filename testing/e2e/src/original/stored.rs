//! What users stored, and what the original wrote for it.

use crate::credentials::issue;
use crate::registry::ECR;
use crate::{World, objects};
use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::API_VERSION;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// A resource of a kind, and the Secret that the original wrote for it, if it did.
pub struct Stored {
    /// The kind.
    pub kind: &'static str,
    /// The resource.
    pub name: &'static str,
    /// The Secret.
    pub secret: Option<&'static str>,
    frequency: Option<&'static str>,
}

/// What users stored. The API took any frequency, and resources without a spec.
pub const STORED: [Stored; 6] = [
    stored("Secret", "ecr-secret", Some("ecr-docker-secret"), "10h"),
    stored("Secret", "garbage", Some("garbage-secret"), "garbage"),
    stored("Secret", "zero", Some("zero-secret"), "0s"),
    stored(
        "ArgoHelmRepoSecret",
        "helm-charts",
        Some("ecr-argo-helm-secret"),
        "10h",
    ),
    without_spec("Secret", "empty"),
    without_spec("ArgoHelmRepoSecret", "empty"),
];

const fn stored(
    kind: &'static str,
    name: &'static str,
    secret: Option<&'static str>,
    frequency: &'static str,
) -> Stored {
    Stored {
        kind,
        name,
        secret,
        frequency: Some(frequency),
    }
}

const fn without_spec(kind: &'static str, name: &'static str) -> Stored {
    Stored {
        kind,
        name,
        secret: None,
        frequency: None,
    }
}

/// Stores the resources, and writes the Secrets that it wrote: without a label, an annotation or an owner.
///
/// # Errors
/// The API server refuses, or the AWS double gives no token.
pub async fn leave_behind(world: &World, namespace: &str) -> Result<()> {
    let client = world.node.client();
    let password = issue(world).await?;
    for one in &STORED {
        objects::apply(&client, one.resource(namespace)).await?;
        let Some(secret) = one.secret else { continue };
        objects::apply(&client, one.written(namespace, secret, &password)).await?;
        let resources = objects::all(&client, API_VERSION, one.kind, Some(namespace)).await?;
        let status = json!({ "status": {
            "phase": "Updated",
            "lastUpdatedTime": world.double.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        } });
        resources
            .patch_status(one.name, &PatchParams::default(), &Patch::Merge(status))
            .await?;
    }
    Ok(())
}

impl Stored {
    fn resource(&self, namespace: &str) -> Value {
        let mut resource = json!({
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "metadata": { "name": self.name, "namespace": namespace },
        });
        if let Some(frequency) = self.frequency {
            let place = match self.kind {
                "Secret" => "ecr_registry",
                _ => "url",
            };
            resource["spec"] = json!({
                "generated_secret_name": self.secret,
                "frequency": frequency,
                "region": "us-east-2",
                (place): ECR,
            });
        }
        resource
    }

    fn written(&self, namespace: &str, secret: &str, password: &str) -> Value {
        let metadata = json!({ "name": secret, "namespace": namespace });
        if self.kind == "Secret" {
            let auth = STANDARD.encode(format!("AWS:{password}"));
            let config = json!({ "auths": { ECR: { "username": "AWS", "password": password, "auth": auth } } });
            return json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata,
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": { ".dockerconfigjson": config.to_string() },
            });
        }
        let mut written = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "stringData": {
                "username": "AWS",
                "password": password,
                "url": ECR,
                "type": "helm",
                "enableOCI": "true",
                "name": secret,
            },
        });
        written["metadata"]["labels"] = json!({ "argocd.argoproj.io/secret-type": "repository" });
        written
    }
}
