//! Helm with ECR as its registry: the operator's own chart goes there and comes back.

use super::installation::{SECRET, opens};
use super::user::User;
use crate::registry::ECR;
use anyhow::{Context, Result, ensure};
use ecr_secret_core::api::OPERATOR_NAME;

/// The chart has the version of the operator.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Pushes and pulls the chart with the token of a generated Secret.
pub(super) async fn run(user: &User<'_>) -> Option<()> {
    let sentence = "helm pushes the packaged chart with the token and pulls the same bytes; without the token it may not";
    user.prove(sentence, push_and_pull(user)).await
}

async fn push_and_pull(user: &User<'_>) -> Result<()> {
    let archive = format!("$HOME/{OPERATOR_NAME}-{VERSION}.tgz");
    let push = format!("helm push {archive} oci://{ECR} --plain-http");
    user.sh("helm package deploy/chart --destination $HOME")
        .await?;
    let told = user.refused(&push).await?;
    ensure!(told.contains("credential"), "another trouble: {told}");
    let password = opens(user, SECRET).await?;
    user.write("password", &password)?;
    user.sh(&format!(
        "helm registry login {ECR} --plain-http --username AWS --password-stdin < $HOME/password"
    ))
    .await?;
    user.sh(&push).await?;
    user.sh(&format!(
        "mkdir $HOME/pulled\n\
         helm pull oci://{ECR}/{OPERATOR_NAME} --version {VERSION} --plain-http --destination $HOME/pulled\n\
         helm registry logout {ECR}"
    ))
    .await?;
    user.sh(&format!(
        "cmp {archive} $HOME/pulled/{OPERATOR_NAME}-{VERSION}.tgz"
    ))
    .await
    .map(drop)
    .context("the chart that was pulled is another one")
}
