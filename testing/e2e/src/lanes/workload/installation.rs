//! What both ways of installation share: the Deployment, AWS, and what is left of them.

use super::tenant::NAMESPACE as TENANT;
use super::user::{User, root};
use super::{DELETE_CRDS, tenant};
use crate::registry::ECR;
use crate::{objects, until};
use anyhow::{Context, Result, ensure};
use ecr_secret_core::api::{GROUP, OPERATOR_NAME};
use ecr_secret_core::manifests::{DEFAULT_NAMESPACE, WORKLOAD_NAME};
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta};
use kube::discovery::{Discovery, verbs};
use kube::{Client, ResourceExt};
use std::collections::BTreeSet;
use std::time::Duration;

/// The samples' resource and the Secret that comes of it.
pub(super) const RESOURCE: &str = "ecr-secret";
pub(super) const SECRET: &str = "ecr-docker-secret";
/// A namespace with a resource that outlives the operator.
const LEFT_BEHIND: &str = "left-behind";
const GONE: Duration = Duration::from_mins(1);

/// Objects, as `Kind namespace/name`.
pub(super) type Traces = BTreeSet<String>;

/// A cluster that never saw the operator, but for what the returned traces tell. A lane before this one may leave CRDs.
pub(super) async fn clear(user: &User<'_>) -> Result<Traces> {
    let delete = super::user::commands(DELETE_CRDS)?;
    user.sh(&format!("{delete} --ignore-not-found")).await?;
    traces(&user.client()).await
}

/// Waits until the operator's Deployment is rolled out, and its pod Ready.
pub(super) async fn ready(user: &User<'_>) -> Result<()> {
    let deployment = format!("-n {DEFAULT_NAMESPACE} rollout status deployment/{WORKLOAD_NAME}");
    let told = user
        .sh(&format!("kubectl {deployment} --timeout=90s"))
        .await?;
    ensure!(
        told.contains("successfully rolled out"),
        "the Deployment is not rolled out: {told}"
    );
    Ok(())
}

/// Sends the operator to the AWS double, by a variable as for any endpoint.
pub(super) async fn reach_aws(user: &User<'_>) -> Result<()> {
    let variable = format!("AWS_ENDPOINT_URL={}", user.world.aws_endpoint());
    let deployment = format!("-n {DEFAULT_NAMESPACE} set env deployment/{WORKLOAD_NAME}");
    user.sh(&format!("kubectl {deployment} {variable}")).await?;
    ready(user).await
}

/// A resource in a namespace that will be deleted when there is no operator.
pub(super) async fn leave_behind(user: &User<'_>) -> Result<()> {
    let sample = root().join("samples/ecr_v1alpha1_secret.yaml");
    let sample = std::fs::read_to_string(sample).context("read the sample")?;
    let client = user.client();
    objects::restricted_namespace(&client, LEFT_BEHIND).await?;
    objects::apply_yaml(&client, &sample.replace(TENANT, LEFT_BEHIND)).await?;
    let wait = format!("-n {LEFT_BEHIND} wait ecrsec/{RESOURCE} --for=condition=Ready");
    user.sh(&format!("kubectl {wait} --timeout=60s"))
        .await
        .map(drop)
}

/// Deletes that namespace.
pub(super) async fn delete_left_behind(user: &User<'_>) -> Result<()> {
    objects::delete_namespace(&user.client(), LEFT_BEHIND).await
}

/// While the operator is away: somebody asks for a new token, and the old one stops working.
pub(super) async fn age(user: &User<'_>, request: &str) -> Result<()> {
    tenant::request_refresh(&user.client(), RESOURCE, request).await?;
    user.world.registry.rotate();
    let password = tenant::password(&user.client(), SECRET, ECR).await?;
    ensure!(
        !user.world.registry.accepts(&password),
        "the registry takes a token from before its rotation"
    );
    Ok(())
}

/// After the operator came back: the resource of before has a Secret that works.
pub(super) async fn is_fresh(user: &User<'_>, request: &str) -> Result<()> {
    tenant::refreshed(&user.client(), RESOURCE, request).await?;
    opens(user, SECRET).await.map(drop)
}

/// Makes sure that a Secret opens the registry, and returns its password.
pub(super) async fn opens(user: &User<'_>, secret: &str) -> Result<String> {
    let password = tenant::password(&user.client(), secret, ECR).await?;
    ensure!(
        user.world.registry.accepts(&password),
        "the registry refuses the token in {secret}: {:?}",
        tenant::origin(&password)?
    );
    Ok(password)
}

/// Waits until nothing of the operator is left but what is named here.
pub(super) async fn nothing_left_but(
    user: &User<'_>,
    before: &Traces,
    expected: &[String],
) -> Result<()> {
    let expected: Traces = expected.iter().cloned().collect();
    until(GONE, "the operator to leave nothing", async || {
        let found = traces(&user.client()).await?;
        let left: Traces = found.difference(before).cloned().collect();
        ensure!(left == expected, "there is {left:?}, not {expected:?}");
        Ok(())
    })
    .await
}

/// What stays with the CRDs.
pub(super) fn crds() -> Vec<String> {
    vec![
        format!("APIService v1alpha1.{GROUP}"),
        format!("CustomResourceDefinition argohelmreposecrets.{GROUP}"),
        format!("CustomResourceDefinition secrets.{GROUP}"),
    ]
}

/// Every object in the cluster that is the operator's by its name or by a label. What tenants have is theirs.
async fn traces(client: &Client) -> Result<Traces> {
    let discovery = Discovery::new(client.clone())
        .run()
        .await
        .context("ask for all kinds of objects")?;
    let mut traces = Traces::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            // Events tell of what was, and end by themselves.
            if !capabilities.supports_operation(verbs::LIST) || resource.kind == "Event" {
                continue;
            }
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let found = api.list_metadata(&ListParams::default()).await;
            let found = found.with_context(|| format!("list all {}", resource.plural))?;
            let ours = found.iter().filter(|object| is_ours(&object.metadata));
            traces.extend(ours.map(|object| {
                let namespace = object.namespace().map(|name| name + "/");
                let namespace = namespace.unwrap_or_default();
                format!("{} {namespace}{}", resource.kind, object.name_any())
            }));
        }
    }
    Ok(traces)
}

fn is_ours(object: &ObjectMeta) -> bool {
    let name = object.name.as_deref().unwrap_or_default();
    let named = name.ends_with(GROUP) || name.contains(OPERATOR_NAME) && !name.contains(TENANT);
    let mut labels = object.labels.iter().flatten();
    let labelled = labels.any(|(_, value)| value == OPERATOR_NAME);
    let mut owners = object.owner_references.iter().flatten();
    let generated = owners.any(|owner| owner.api_version.starts_with(GROUP));
    (named || labelled) && !generated
}
