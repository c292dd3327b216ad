//! OLM takes the operator away, and brings it back.

use crate::catalog::{self, Bundle};
use crate::credentials::{self, resource};
use crate::subscription::Subscription;
use crate::{World, objects, olm, until};
use anyhow::{Result, ensure};
use std::time::Duration;

const OPERATOR: &str = "ecr-secret-operator";
/// A tenant whose namespace goes while there is no operator, and one that stays.
const TENANTS: [&str; 2] = ["leaving", "staying"];
const GENERATED: &str = "pull";
const SOON: Duration = Duration::from_secs(30);

/// OLM's own list of what belongs to a package; the CRDs are on it.
const COMPONENTS: &str = "operator.operators.coreos.com/";

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
            "removed as docs/uninstall.md says, nothing of it is left but the CRDs",
            gone(world, &subscription),
        )
        .await;
    let sentence =
        "a namespace with resources is deleted while there is no operator, without being stuck";
    let client = world.node.client();
    let deleted = objects::delete_namespace(&client, TENANTS[0]);
    world.prove(sentence, deleted).await;
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
    // OLM never takes away a ClusterRole that a bundle brought.
    let arguments = [
        "delete",
        "clusterrole",
        "ecr-secret-operator-metrics-reader",
    ];
    world.node.kubectl(&arguments).await?;
    objects::delete_namespace(&world.node.client(), OPERATOR).await?;
    let left = until(SOON, "all of it to go", async || {
        let left = left(world).await?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    });
    left.await
}

/// Everything in the cluster that has the operator's name, but events, which tell of the past.
async fn left(world: &World) -> Result<Vec<String>> {
    let kinds = ["api-resources", "--verbs=list", "--output=name"];
    let kinds = world.node.kubectl(&kinds).await?;
    let kinds: Vec<&str> = kinds
        .lines()
        .filter(|kind| !kind.starts_with("events"))
        .collect();
    let kinds = kinds.join(",");
    let objects = ["get", &kinds, "--all-namespaces", "--output=name"];
    let objects = world.node.kubectl(&objects).await?;
    let left = objects
        .lines()
        .filter(|name| name.contains(OPERATOR) && !name.starts_with(COMPONENTS));
    Ok(left.map(str::to_owned).collect())
}
