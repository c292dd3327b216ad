//! One manifest: it installs the operator as it is, and its parts take the operator away.

use super::installation::{self, Traces, crds};
use super::tenant::{self, NAMESPACE as TENANT};
use super::user::User;
use super::{IAM_USER, INSTALL, MANIFEST_UNINSTALL};
use crate::{objects, until};
use anyhow::{Context, Result, ensure};
use ecr_secret_core::manifests::DEFAULT_NAMESPACE;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use std::time::Duration;

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Installs the operator and gives it an identity.
pub(super) async fn install(user: &User<'_>) -> Option<()> {
    let sentence = "one manifest, as it is, installs the operator: its pod is Ready in a restricted namespace, without an \
                    identity yet";
    user.prove(sentence, async {
        user.follow(INSTALL).await?;
        installation::ready(user).await?;
        let namespaces: Api<Namespace> = Api::all(user.client());
        let labels = namespaces.get(DEFAULT_NAMESPACE).await?.metadata.labels;
        let level = labels.and_then(|mut labels| labels.remove(ENFORCE));
        ensure!(level.as_deref() == Some("restricted"), "{level:?}");
        Ok(())
    })
    .await?;
    let sentence = "the access key of an IAM user, in the README's Secret, is an identity";
    user.prove(sentence, async {
        user.follow(IAM_USER).await?;
        installation::reach_aws(user).await
    })
    .await
}

/// Takes the operator away, twice.
pub(super) async fn uninstall(user: &User<'_>, before: &Traces) -> Result<()> {
    installation::leave_behind(user)
        .await
        .context("prepare a namespace that outlives the operator")?;
    let sentence =
        "the documented commands take the manifest's installation away, all but the CRDs";
    user.prove(sentence, async {
        user.follow(MANIFEST_UNINSTALL).await?;
        installation::nothing_left_but(user, before, &crds()).await?;
        // The tenants keep what they have.
        installation::opens(user, installation::SECRET)
            .await
            .map(drop)
    })
    .await;
    let sentence = "a namespace with a resource goes away when the operator is gone";
    user.prove(sentence, installation::delete_left_behind(user))
        .await;
    let sentence = "installed again by the manifest, the operator writes fresh Secrets for the resources that stayed";
    user.prove(sentence, async {
        installation::age(user, "reinstalled-by-manifest").await?;
        user.follow(INSTALL).await?;
        user.follow(IAM_USER).await?;
        installation::reach_aws(user).await?;
        installation::is_fresh(user, "reinstalled-by-manifest").await
    })
    .await;
    let sentence =
        "kubectl delete -f takes everything away while there are resources, and hangs nowhere";
    user.prove(sentence, async {
        user.sh("kubectl delete -f deploy/install.yaml --timeout=90s")
            .await?;
        installation::nothing_left_but(user, before, &[]).await?;
        secrets_are_gone(user).await?;
        objects::delete_namespace(&user.client(), TENANT).await
    })
    .await;
    Ok(())
}

/// Secrets go with their resources, by the garbage collector.
async fn secrets_are_gone(user: &User<'_>) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(user.client(), tenant::NAMESPACE);
    let limit = Duration::from_mins(1);
    until(limit, "the generated Secrets to go", async || {
        let left = secrets.get_opt(installation::SECRET).await?;
        ensure!(left.is_none(), "{} is there", installation::SECRET);
        Ok(())
    })
    .await
}
