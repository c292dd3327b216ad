//! Helm: it installs the operator from the chart, takes it away, and installs it again.

use super::installation::{self, Traces, crds, ready};
use super::tenant::NAMESPACE as TENANT;
use super::user::{User, commands};
use super::{DELETE_CRDS, HELM_INSTALL, HELM_UNINSTALL, IAM_USER, SAMPLE};
use crate::objects;
use anyhow::{Context, Result};
use ecr_secret_core::manifests::DEFAULT_NAMESPACE;

/// The whole life of a release.
pub(super) async fn run(user: &User<'_>, before: &Traces) -> Result<()> {
    let documented = commands(HELM_INSTALL)?;
    let (namespace, install) = documented
        .rsplit_once('\n')
        .context("the chart's README creates a namespace, and then installs")?;
    let endpoint = user.world.aws_endpoint();
    let variable = format!("--set extraEnv[0].name=AWS_ENDPOINT_URL,extraEnv[0].value={endpoint}");
    let install = format!("{install} {variable}");
    let sentence =
        "Helm installs the operator from deploy/chart, and the sample resource gives a Secret";
    user.prove(sentence, async {
        user.sh(namespace).await?;
        user.follow(IAM_USER).await?;
        user.sh(&install).await?;
        ready(user).await?;
        user.follow(SAMPLE).await?;
        installation::opens(user, installation::SECRET).await?;
        installation::leave_behind(user).await
    })
    .await;
    let sentence = "helm uninstall leaves the CRDs, and the namespace that the user made";
    user.prove(sentence, async {
        user.follow(HELM_UNINSTALL).await?;
        let mut expected = crds();
        expected.push(format!("Namespace {DEFAULT_NAMESPACE}"));
        installation::nothing_left_but(user, before, &expected).await?;
        installation::delete_left_behind(user).await
    })
    .await;
    let sentence =
        "installed again by Helm, the operator writes fresh Secrets for the resources that stayed";
    user.prove(sentence, async {
        installation::age(user, "reinstalled-by-helm").await?;
        user.sh(&install).await?;
        ready(user).await?;
        installation::is_fresh(user, "reinstalled-by-helm").await
    })
    .await;
    let sentence = "after Helm, both namespaces and the CRDs go away, and nothing is left";
    user.prove(sentence, async {
        user.follow(HELM_UNINSTALL).await?;
        objects::delete_namespace(&user.client(), TENANT).await?;
        objects::delete_namespace(&user.client(), DEFAULT_NAMESPACE).await?;
        user.follow(DELETE_CRDS).await?;
        installation::nothing_left_but(user, before, &[]).await
    })
    .await;
    Ok(())
}
