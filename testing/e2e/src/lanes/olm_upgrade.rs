//! From the original operator to this one, and from this one to the next, while every Secret goes on opening the registry.

use crate::catalog::{self, Bundle};
use crate::original::{self, STORED};
use crate::subscription::Subscription;
use crate::watcher::Watcher;
use crate::{World, credentials, objects, olm, until};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const OPERATOR: &str = "ecr-secret-operator";
const TENANT: &str = "shop";
/// The channel of the original's users.
const CHANNEL: &str = "alpha";
const NEXT: &str = "99.0.0";

/// All proofs.
///
/// # Errors
/// The bundle cannot be read.
pub async fn run(world: &World) -> Result<()> {
    let shipped = Bundle::shipped()?;
    let sentence =
        "OLM runs the original v0.6.0; its resources, odd ones among them, and its Secrets stand";
    let prepared = world.prove(sentence, original_stands(world));
    let Some((original, subscription, uids)) = prepared.await else {
        return Ok(());
    };
    let watcher = Watcher::start(world, secrets());
    let bundles = [&original, &shipped];
    let sentence = "OLM replaces it by this version, and the InstallPlan is Complete";
    let replaced = world.prove(sentence, replace(world, &subscription, &bundles, &shipped));
    if replaced.await.is_some() {
        let sentence = "what the original wrote is taken over in place, and odd resources say what is wrong with them";
        world.prove(sentence, taken_over(world, &uids)).await;
        let next = next(&shipped)?;
        let bundles = [&original, &shipped, &next];
        let sentence = "OLM replaces this version by the next one";
        world
            .prove(sentence, replace(world, &subscription, &bundles, &next))
            .await;
    }
    let looks = watcher.looks();
    world
        .prove(
            &format!(
                "through all of it, at each of {looks} looks, every Secret opened the registry"
            ),
            watcher.finish(),
        )
        .await;
    world
        .prove("all of it goes again", async {
            subscription.remove().await?;
            let client = world.node.client();
            objects::delete_namespace(&client, OPERATOR).await?;
            objects::delete_namespace(&client, TENANT).await
        })
        .await;
    Ok(())
}

fn secrets() -> Vec<(String, String)> {
    let names = STORED.iter().filter_map(|stored| stored.secret);
    names
        .map(|name| (TENANT.to_owned(), name.to_owned()))
        .collect()
}

/// The uids of what the original wrote.
type Uids = BTreeMap<String, Option<String>>;

async fn original_stands(world: &World) -> Result<(Bundle, Subscription<'_>, Uids)> {
    olm::install(world).await?;
    let client = world.node.client();
    remove_crds(world).await?;
    let image = world.images.push_sleeper("original:v0.6.0").await?;
    let original = original::bundle(&image)?;
    catalog::publish(world, &[&original]).await?;
    let environment = world.aws_environment();
    let subscription = Subscription::new(world, OPERATOR);
    subscription.create(&[], CHANNEL, &environment).await?;
    subscription.wait_for(&original.name).await?;
    objects::restricted_namespace(&client, TENANT).await?;
    original::leave_behind(world, TENANT).await?;
    let mut uids = Uids::new();
    for (namespace, name) in secrets() {
        let secret = credentials::check(world, &namespace, &name).await?;
        uids.insert(name, secret.metadata.uid);
    }
    Ok((original, subscription, uids))
}

/// Ours are there when other lanes ran before.
async fn remove_crds(world: &World) -> Result<()> {
    let client = world.node.client();
    let api = "apiextensions.k8s.io/v1";
    let crds = objects::all(&client, api, "CustomResourceDefinition", None).await?;
    for name in
        ["secrets", "argohelmreposecrets"].map(|plural| format!("{plural}.ecr.mobb.redhat.com"))
    {
        if crds.get_opt(&name).await?.is_none() {
            continue;
        }
        crds.delete(&name, &DeleteParams::default()).await?;
        let what = format!("the end of the CRD {name}");
        until(Duration::from_secs(30), &what, async || {
            let left = crds.get_opt(&name).await?;
            ensure!(left.is_none(), "it is there");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn replace(
    world: &World,
    subscription: &Subscription<'_>,
    bundles: &[&Bundle],
    wanted: &Bundle,
) -> Result<()> {
    catalog::publish(world, bundles).await?;
    subscription.wait_for(&wanted.name).await?;
    subscription.wait_until_only(&wanted.name).await?;
    subscription.wait_for_plans().await?;
    subscription.pod().await.map(drop)
}

async fn taken_over(world: &World, uids: &Uids) -> Result<()> {
    for stored in &STORED {
        let resource = (stored.kind, TENANT, stored.name);
        let Some(secret) = stored.secret else {
            credentials::wait_for_reason(world, resource, ("Ready", "InvalidSpec")).await?;
            continue;
        };
        credentials::wait_for_reason(world, resource, ("Ready", "Refreshed")).await?;
        if ["garbage", "zero"].contains(&stored.name) {
            let condition = ("Adjusted", "InvalidFrequency");
            credentials::wait_for_reason(world, resource, condition).await?;
        }
        let secrets: Api<Secret> = Api::namespaced(world.node.client(), TENANT);
        let found = secrets.get(secret).await?;
        ensure!(
            uids.get(secret) == Some(&found.metadata.uid),
            "{secret} is another Secret now"
        );
        let owner = found.metadata.owner_references.unwrap_or_default();
        ensure!(
            owner
                .iter()
                .any(|owner| owner.kind == stored.kind && owner.name == stored.name),
            "{secret} does not belong to its resource: {owner:?}"
        );
    }
    let written = Api::<Secret>::namespaced(world.node.client(), TENANT);
    let written = written.list(&ListParams::default()).await?.items.len();
    ensure!(written == uids.len(), "there are {written} Secrets now");
    Ok(())
}

/// A version after ours: the same with another number.
fn next(shipped: &Bundle) -> Result<Bundle> {
    let name = format!("ecr-secret-operator.v{NEXT}");
    let mut next = shipped.clone();
    for (path, text) in &mut next.files {
        if !path.ends_with(".clusterserviceversion.yaml") {
            continue;
        }
        let mut csv: Value = serde_norway::from_str(text)?;
        csv["metadata"]["name"] = json!(name);
        csv["spec"]["version"] = json!(NEXT);
        csv["spec"]["replaces"] = json!(shipped.name);
        let annotations = csv["metadata"]["annotations"].as_object_mut();
        annotations
            .context("the CSV has no annotations")?
            .remove("olm.skipRange");
        *text = serde_norway::to_string(&csv)?;
    }
    next.entry = json!({ "name": name, "replaces": shipped.name });
    next.name = name;
    Ok(next)
}
