//! OLM takes the operator away, and brings it back.

use crate::catalog::{self, Bundle};
use crate::credentials::{self, resource};
use crate::subscription::Subscription;
use crate::{World, objects, olm};
use anyhow::{Result, ensure};
use kube::ResourceExt;
use kube::api::ListParams;
use std::collections::BTreeSet;
use std::time::Duration;

const OPERATOR: &str = "ecr-secret-operator";
/// A tenant whose namespace goes while there is no operator, and one that stays.
const TENANTS: [&str; 2] = ["leaving", "staying"];
const GENERATED: &str = "pull";
const SOON: Duration = Duration::from_secs(30);

/// Kinds beyond a namespace, as `kubectl` knows them.
const CLUSTER_KINDS: [(&str, &str); 5] = [
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
    ),
    ("apiregistration.k8s.io/v1", "APIService"),
];
/// OLM makes these for every definition of a kind, and they go with it.
const OF_THE_CRDS: &str = ".ecr.mobb.redhat.com-v1alpha1-";

/// All proofs.
///
/// # Errors
/// The bundle cannot be read.
pub async fn run(world: &World) -> Result<()> {
    let bundle = Bundle::shipped()?;
    let sentence = "OLM installs the operator, and two tenants have Secrets";
    let installed = world.prove(sentence, async {
        olm::install(world).await?;
        catalog::publish(world, &[&bundle]).await?;
        let client = world.node.client();
        for tenant in TENANTS {
            objects::restricted_namespace(&client, tenant).await?;
        }
        let subscription = install(world, &bundle).await?;
        for tenant in TENANTS {
            objects::apply(&client, resource(tenant, "ecr-secret", GENERATED)).await?;
            credentials::wait_for(world, tenant, GENERATED, SOON).await?;
        }
        Ok(subscription)
    });
    let Some(subscription) = installed.await else {
        return Ok(());
    };
    world
        .prove(
            "after the Subscription and the CSV nothing of it is left but the CRDs",
            gone(world, &subscription),
        )
        .await;
    let sentence =
        "with no operator, its namespace and one with resources are deleted without being stuck";
    world
        .prove(sentence, async {
            let client = world.node.client();
            objects::delete_namespace(&client, TENANTS[0]).await?;
            objects::delete_namespace(&client, OPERATOR).await
        })
        .await;
    let sentence = "installed again, it renews the Secret of the resource that stayed";
    world
        .prove(sentence, async {
            credentials::check(world, TENANTS[1], GENERATED).await?;
            world.registry.rotate();
            let refused = credentials::check(world, TENANTS[1], GENERATED).await;
            ensure!(refused.is_err(), "the old token is still good");
            let subscription = install(world, &bundle).await?;
            refresh(world).await?;
            credentials::wait_for(world, TENANTS[1], GENERATED, SOON).await?;
            subscription.remove().await?;
            let client = world.node.client();
            objects::delete_namespace(&client, TENANTS[1]).await?;
            objects::delete_namespace(&client, OPERATOR).await
        })
        .await;
    Ok(())
}

async fn install<'a>(world: &'a World, bundle: &Bundle) -> Result<Subscription<'a>> {
    let environment = world.aws_environment();
    let subscription = Subscription::new(world, OPERATOR);
    subscription.create(&[], "stable", &environment).await?;
    subscription.wait_for(&bundle.name).await?;
    Ok(subscription)
}

/// What a user does when a registry refuses a token before its time.
async fn refresh(world: &World) -> Result<()> {
    let annotation = format!(
        "ecr.mobb.redhat.com/refresh-requested-at={}",
        world.double.now()
    );
    let arguments = [
        "--namespace",
        TENANTS[1],
        "annotate",
        "--overwrite",
        "ecrsec/ecr-secret",
        &annotation,
    ];
    world.node.kubectl(&arguments).await.map(drop)
}

async fn gone(world: &World, subscription: &Subscription<'_>) -> Result<()> {
    subscription.remove().await?;
    let left = crate::until(SOON, "all of it to go", async || {
        let left = left(world).await?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    });
    left.await
}

/// Everything with the operator's name, in its namespace and in the whole cluster, but what belongs to the CRDs.
async fn left(world: &World) -> Result<BTreeSet<String>> {
    let client = world.node.client();
    let mut left = BTreeSet::new();
    for (api, kind) in CLUSTER_KINDS {
        let found = objects::all(&client, api, kind, None).await?;
        for object in found.list(&ListParams::default()).await? {
            let name = object.name_any();
            if name.contains(OPERATOR) {
                left.insert(format!("{kind} {name}"));
            }
        }
    }
    let kinds = world
        .node
        .kubectl(&[
            "api-resources",
            "--namespaced",
            "--verbs=list",
            "--output=name",
        ])
        .await?;
    let kinds: Vec<&str> = kinds
        .lines()
        .filter(|kind| !kind.starts_with("events"))
        .collect();
    let arguments = [
        "--namespace",
        OPERATOR,
        "get",
        &kinds.join(","),
        "--output=name",
        "--ignore-not-found",
    ];
    for name in world.node.kubectl(&arguments).await?.lines() {
        if name.contains(OPERATOR) && !name.contains(OF_THE_CRDS) {
            left.insert(name.to_owned());
        }
    }
    Ok(left)
}
