//! Generated Secrets, and whether what is in them opens the registry.

use crate::{Registry, World, objects, until};
use anyhow::{Context, Result, ensure};
use aws_double::DEFAULT_ACCESS_KEY_ID;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::API_VERSION;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::time::Duration;

/// A resource of our kind `Secret`, as the samples have it.
pub fn resource(namespace: &str, name: &str, generated: &str) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "generated_secret_name": generated,
            "ecr_registry": crate::registry::ECR,
            "frequency": "10h",
            "region": "us-east-2",
        },
    })
}

/// Fails unless the password in a generated Secret opens the registry now.
///
/// # Errors
/// There is no such Secret, it has no password, or the registry refuses that.
pub async fn check(world: &World, namespace: &str, name: &str) -> Result<Secret> {
    opens(&world.node.client(), &world.registry, namespace, name).await
}

/// As [`check`], for tasks that outlive a borrow of the world.
pub(crate) async fn opens(
    client: &Client,
    registry: &Registry,
    namespace: &str,
    name: &str,
) -> Result<Secret> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets
        .get_opt(name)
        .await?
        .with_context(|| format!("there is no Secret {namespace}/{name}"))?;
    let password = password(&secret)
        .with_context(|| format!("the Secret {namespace}/{name} has no password"))?;
    ensure!(
        registry.accepts(&password),
        "the registry refuses the password of {namespace}/{name}"
    );
    Ok(secret)
}

/// Waits for a generated Secret that opens the registry.
///
/// # Errors
/// There is none in time.
pub async fn wait_for(
    world: &World,
    namespace: &str,
    name: &str,
    limit: Duration,
) -> Result<Secret> {
    let what = format!("a Secret {namespace}/{name} that opens the registry");
    until(limit, &what, async || check(world, namespace, name).await).await
}

/// Waits until a resource of ours has a condition with this reason.
///
/// # Errors
/// It has not in time.
pub async fn wait_for_reason(
    world: &World,
    (kind, namespace, name): (&str, &str, &str),
    (condition, reason): (&str, &str),
) -> Result<()> {
    let client = world.node.client();
    let resources = objects::all(&client, API_VERSION, kind, Some(namespace)).await?;
    let what = format!("{condition} of {kind} {namespace}/{name} to be {reason}");
    until(Duration::from_secs(45), &what, async || {
        let found = resources.get(name).await?;
        let condition = objects::condition(&found, condition).context("no such condition")?;
        ensure!(condition["reason"] == reason, "it is {condition}");
        Ok(())
    })
    .await
}

/// The password of a registry Secret, or of one of Argo CD.
fn password(secret: &Secret) -> Option<String> {
    let data = secret.data.as_ref()?;
    if let Some(password) = data.get("password") {
        return String::from_utf8(password.0.clone()).ok();
    }
    let config: Value = serde_json::from_slice(&data.get(".dockerconfigjson")?.0).ok()?;
    let entry = config["auths"].as_object()?.values().next()?;
    Some(entry["password"].as_str()?.to_owned())
}

/// A password that AWS issues now, fetched as the original operator fetched it.
///
/// # Errors
/// The AWS double does not answer.
pub async fn issue(world: &World) -> Result<String> {
    let scope = format!("{DEFAULT_ACCESS_KEY_ID}/20261124/us-east-2/ecr/aws4_request");
    let request = Request::post(format!("{}/", world.aws_endpoint()))
        .header(
            "x-amz-target",
            "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        )
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
        .header(
            header::AUTHORIZATION,
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
        )
        .body(Body::from("{}"))?;
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let answer = client
        .request(request)
        .await
        .context("ask the AWS double for a token")?;
    let answer = to_bytes(Body::new(answer.into_body()), 1 << 20).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let token = answer["authorizationData"][0]["authorizationToken"]
        .as_str()
        .with_context(|| format!("the AWS double gives no token: {answer}"))?;
    let pair = String::from_utf8(STANDARD.decode(token)?)?;
    let password = pair.strip_prefix("AWS:").context("a token without AWS:")?;
    Ok(password.to_owned())
}
