//! What a tenant sees: resources with their conditions, and the Secrets that come of them.

use crate::until;
use anyhow::{Context, Result, bail, ensure};
use aws_double::{Issued, issued};
use ecr_secret_core::api::{
    CONDITION_READY, Condition, ConditionStatus, CredentialResource, EcrSecret,
    REFRESH_REQUESTED_AT,
};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use serde_json::{Value, json};
use std::time::Duration;

/// The namespace of the samples.
pub(super) const NAMESPACE: &str = "test-ecr-secret-operator";

const LIMIT: Duration = Duration::from_mins(1);

/// Waits until a resource of the sample's namespace is ready.
pub(super) async fn ready<K>(client: &Client, name: &str) -> Result<()>
where
    K: CredentialResource + Resource<Scope = NamespaceResourceScope>,
{
    let wanted = |ready: &Condition| ready.status == ConditionStatus::True;
    condition::<K>(client, name, "is ready", LIMIT, wanted)
        .await
        .map(drop)
}

/// Waits until the condition `Ready` of a Secret resource is as wanted, and returns it.
pub(super) async fn state(
    client: &Client,
    name: &str,
    what: &str,
    limit: Duration,
    wanted: impl Fn(&Condition) -> bool,
) -> Result<Condition> {
    condition::<EcrSecret>(client, name, what, limit, wanted).await
}

async fn condition<K>(
    client: &Client,
    name: &str,
    what: &str,
    limit: Duration,
    wanted: impl Fn(&Condition) -> bool,
) -> Result<Condition>
where
    K: CredentialResource + Resource<Scope = NamespaceResourceScope>,
{
    let resources: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    until(limit, &format!("{name}: {what}"), async || {
        let resource = resources.get(name).await?;
        let status = resource.status().context("it has no status")?;
        let ready = status.condition(CONDITION_READY);
        let ready = ready.context("it has no condition Ready")?;
        ensure!(
            wanted(ready),
            "Ready is {}, {}: {}",
            ready.status.as_str(),
            ready.reason,
            ready.message
        );
        Ok(ready.clone())
    })
    .await
}

/// The password for a registry in a generated Secret of the namespace.
pub(super) async fn password(client: &Client, secret: &str, registry: &str) -> Result<String> {
    let text = value(client, secret, ".dockerconfigjson").await?;
    let config: Value = serde_json::from_str(&text).context("read .dockerconfigjson")?;
    let entry = &config["auths"][registry];
    ensure!(entry["username"] == "AWS", "{secret} is not for {registry}");
    let password = entry["password"].as_str();
    Ok(password.context("an entry without a password")?.to_owned())
}

/// A value of a Secret of the namespace.
pub(super) async fn value(client: &Client, secret: &str, key: &str) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let found = secrets.get(secret).await;
    let found = found.with_context(|| format!("get the Secret {secret}"))?;
    let value = found.data.and_then(|mut data| data.remove(key));
    let value = value.with_context(|| format!("the Secret {secret} has no key {key}"))?;
    String::from_utf8(value.0).with_context(|| format!("{key} of {secret} is no text"))
}

/// Where a password comes from.
pub(super) fn origin(password: &str) -> Result<Issued> {
    issued(password).context("the password was not issued by the AWS double")
}

/// Asks for a new token of a Secret resource.
pub(super) async fn request_refresh(client: &Client, name: &str, request: &str) -> Result<()> {
    let resources: Api<EcrSecret> = Api::namespaced(client.clone(), NAMESPACE);
    let patch = json!({ "metadata": { "annotations": { REFRESH_REQUESTED_AT: request } } });
    resources
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map(drop)
        .with_context(|| format!("request a refresh of {name}"))
}

/// Waits until a refresh request was obeyed.
pub(super) async fn refreshed(client: &Client, name: &str, request: &str) -> Result<()> {
    let resources: Api<EcrSecret> = Api::namespaced(client.clone(), NAMESPACE);
    until(LIMIT, &format!("{name}: the refresh"), async || {
        let status = resources.get(name).await?.status.unwrap_or_default();
        if status.handled_refresh_request.as_deref() != Some(request) {
            bail!("{:?}", status.condition(CONDITION_READY));
        }
        Ok(())
    })
    .await
}

/// The Secret that a service account brings into builds, once the operator has linked it.
pub(super) async fn mounted(client: &Client, account: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let what = format!("a Secret among those of the service account {account}");
    until(LIMIT, &what, async || {
        let secrets = accounts.get(account).await?.secrets.unwrap_or_default();
        let first = secrets.into_iter().next();
        first
            .and_then(|reference| reference.name)
            .context("it names none")
    })
    .await
}
