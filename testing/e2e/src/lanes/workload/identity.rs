//! The second identity of the README, a role by STS web identity, while the operator's pod goes on.

use super::installation::{RESOURCE, SECRET, opens};
use super::user::User;
use super::{STS_ROLE, tenant};
use crate::until;
use anyhow::{Context, Result, ensure};
use aws_double::Role;
use ecr_secret_core::api::ConditionStatus;
use ecr_secret_core::manifests::{DEFAULT_NAMESPACE, WORKLOAD_NAME};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use std::time::Duration;

/// The role of samples/credentials-sts.ini, and the audience of the pod's token.
const ROLE: &str = "arn:aws:iam::123456789012:role/ecr-secret-operator";
const AUDIENCE: &str = "openshift";
const SESSION: &str = "assumed-role/ecr-secret-operator/";
const STRANGER: &str = "system:serviceaccount:elsewhere:somebody";

/// kubelet brings a changed Secret into a running pod within two minutes.
const NOTICED: Duration = Duration::from_mins(3);
const TOLD: Duration = Duration::from_mins(1);

/// First the role trusts somebody else, then us.
pub(super) async fn run(user: &User<'_>) {
    let subject = format!("system:serviceaccount:{DEFAULT_NAMESPACE}:{WORKLOAD_NAME}");
    let sentence = "a role that trusts another subject or audience is told on the resource, with the role's name, and the \
                    Secret stays good";
    let told = user.prove(sentence, async {
        let before = pod(user).await?;
        trust(user, AUDIENCE, STRANGER);
        user.follow(STS_ROLE).await?;
        notices(user).await?;
        is_told(user, "Not authorized").await?;
        trust(user, "sts.amazonaws.com", &subject);
        is_told(user, "Incorrect token audience").await?;
        Ok(before)
    });
    let Some(before) = told.await else {
        return;
    };
    let sentence = "once the role trusts the pod's subject, its token, projected for the audience openshift, is an \
                    identity, without a restart";
    user.prove(sentence, async {
        trust(user, AUDIENCE, &subject);
        tenant::request_refresh(&user.client(), RESOURCE, "trusted").await?;
        tenant::refreshed(&user.client(), RESOURCE, "trusted").await?;
        let identity = tenant::origin(&opens(user, SECRET).await?)?.identity;
        ensure!(identity.contains(SESSION), "the token is of {identity}");
        let after = pod(user).await?;
        ensure!(after == before, "the pod was {before}, and is {after}");
        Ok(())
    })
    .await;
}

/// Lets the role trust tokens of this audience and subject, and no others.
fn trust(user: &User<'_>, audience: &str, subject: &str) {
    let role = Role::new(ROLE).trust_web_identity(audience, subject);
    user.world.double.add_role(role);
}

/// Asks for a token, and makes sure that the resource tells AWS' words and the role, and that its Secret is left alone.
async fn is_told(user: &User<'_>, words: &str) -> Result<()> {
    let password = opens(user, SECRET).await?;
    tenant::request_refresh(&user.client(), RESOURCE, words).await?;
    let what = format!("tells that AWS says `{words}`");
    let condition = tenant::state(&user.client(), RESOURCE, &what, TOLD, |ready| {
        ready.status == ConditionStatus::False && ready.message.contains(words)
    })
    .await?;
    ensure!(
        condition.message.contains(ROLE),
        "the role is not named: {}",
        condition.message
    );
    ensure!(
        ["AccessDenied", "CredentialsInvalid"].contains(&condition.reason.as_str()),
        "the reason is {}",
        condition.reason
    );
    ensure!(
        opens(user, SECRET).await? == password,
        "the Secret was written, though there is no new token"
    );
    Ok(())
}

/// Waits until the operator tells in its log that it has the role.
async fn notices(user: &User<'_>) -> Result<()> {
    let logs = format!("kubectl -n {DEFAULT_NAMESPACE} logs deployment/{WORKLOAD_NAME}");
    until(
        NOTICED,
        "the operator to notice its new identity",
        async || {
            let log = user.sh(&logs).await?;
            ensure!(
                log.contains(&format!("role {ROLE}")),
                "its log has no word of it"
            );
            Ok(())
        },
    )
    .await
}

/// The operator's pod and how often it started.
async fn pod(user: &User<'_>) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(user.client(), DEFAULT_NAMESPACE);
    let pods = pods.list(&ListParams::default()).await?;
    let told = pods.iter().map(|pod| {
        let name = pod.metadata.name.as_deref()?;
        let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
        Some(format!(
            "{name}, started again {} times",
            status.restart_count
        ))
    });
    let told: Option<Vec<String>> = told.collect();
    Ok(told.context("a pod without a container")?.join("; "))
}
