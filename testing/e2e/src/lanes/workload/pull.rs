//! The promise itself: pods pull from ECR with a generated Secret, also after the registry's password changed.

use super::installation::{RESOURCE, SECRET, opens};
use super::pods::{account, is_refused, runs, start};
use super::user::{User, root};
use super::{LINK, POLICY, SAMPLE, tenant};
use crate::registry::ECR;
use anyhow::{Context, Result, ensure};
use aws_double::DEFAULT_IDENTITY_ARN;

/// A policy that the README uploads, and where `cargo xtask guests` puts it.
const MODULE: &str = "target/guests/team-prefix.wasm";
/// The Secret that it names for its sample.
const NAMED_BY_POLICY: &str = "team-a-test-ecr-secret-operator-with-policy";
/// The Secret of samples/linked-accounts.yaml, and its resource.
const LINKED: (&str, &str) = ("ecr-linked", "linked");

/// The sample resource.
pub(super) async fn sample(user: &User<'_>) -> Option<()> {
    let sentence =
        "the sample resource gives a Secret that opens the registry with a token of the IAM user";
    user.prove(sentence, async {
        user.follow(SAMPLE).await?;
        let password = opens(user, SECRET).await?;
        let identity = tenant::origin(&password)?.identity;
        ensure!(identity == DEFAULT_IDENTITY_ARN, "it is of {identity}");
        Ok(())
    })
    .await
}

/// A policy, compiled inside the pod's limits.
pub(super) async fn policy(user: &User<'_>) {
    let sentence = "a policy in a ConfigMap names the Secret, and that one opens the registry too";
    user.prove(sentence, async {
        ensure!(
            root().join(MODULE).is_file(),
            "{MODULE} is missing: build it with `cargo xtask guests`"
        );
        let told = user.follow(POLICY).await?;
        ensure!(
            told.ends_with(NAMED_BY_POLICY),
            "the name is not there: {told}"
        );
        opens(user, NAMED_BY_POLICY).await.map(drop)
    })
    .await;
}

/// Pods with and without a link, before and after a rotation.
pub(super) async fn pods(user: &User<'_>) {
    let client = user.client();
    let sentence = "a pod of a linked service account runs an image of ECR; the same pod without the link ends in \
                    ImagePullBackOff";
    let linked = user.prove(sentence, async {
        user.world.images.push_sleeper("app:1").await?;
        // OpenShift has it in every namespace.
        account(&client, "builder").await?;
        account(&client, "stranger").await?;
        user.follow(LINK).await?;
        start(&client, "unlinked", "stranger", "app:1").await?;
        start(&client, "linked", "default", "app:1").await?;
        runs(&client, "linked").await?;
        is_refused(&client, "unlinked").await
    });
    if linked.await.is_none() {
        return;
    }
    let sentence = "when the registry takes new tokens only, a new image cannot be pulled; after the renewal the same pod \
                    runs, and so does a new one";
    user.prove(sentence, rotate(user)).await;
}

async fn rotate(user: &User<'_>) -> Result<()> {
    let client = user.client();
    let (secret, resource) = LINKED;
    // The first pod has to pull its image itself.
    for image in ["app:2", "app:3"] {
        user.world.images.push_sleeper(image).await?;
    }
    let old = opens(user, secret).await?;
    user.world.registry.rotate();
    start(&client, "too-early", "default", "app:2").await?;
    is_refused(&client, "too-early").await?;
    for resource in [resource, RESOURCE] {
        tenant::request_refresh(&client, resource, "rotated").await?;
        tenant::refreshed(&client, resource, "rotated").await?;
    }
    let new = tenant::password(&client, secret, ECR).await?;
    ensure!(new != old, "the token in {secret} is the old one");
    start(&client, "later", "default", "app:3").await?;
    runs(&client, "later").await?;
    runs(&client, "too-early")
        .await
        .context("the pod from before the renewal")
}
