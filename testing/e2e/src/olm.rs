//! The Operator Lifecycle Manager, as pods, from its own chart.

use crate::images::Image;
use crate::objects;
use crate::process::{command, run};
use crate::programs::{olm_source, program};
use crate::{World, until};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// Where OLM and its catalogs are.
pub const NAMESPACE: &str = "olm";
const AVAILABLE: Duration = Duration::from_mins(2);

/// Installs it, unless it is there.
///
/// # Errors
/// It is not available in time.
pub async fn install(world: &World) -> Result<()> {
    let client = world.node.client();
    let namespaces = objects::all(&client, "v1", "Namespace", None).await?;
    if namespaces.get_opt(NAMESPACE).await?.is_some() {
        return Ok(());
    }
    install_monitoring_kinds(world).await?;
    let images = push_images(world).await?;
    let source = olm_source().await?;
    for file in fs::read_dir(source.join("deploy/chart/crds")).context("read OLM's CRDs")? {
        let text = fs::read_to_string(file?.path())?;
        objects::apply_yaml(&client, &text).await?;
    }
    objects::wait_for_crds(&client).await?;
    for manifest in render(&images).await? {
        objects::apply(&client, manifest).await?;
    }
    for deployment in ["olm-operator", "catalog-operator"] {
        wait_until_available(world, NAMESPACE, deployment).await?;
    }
    Ok(())
}

/// Waits until a Deployment is Available.
async fn wait_until_available(world: &World, namespace: &str, name: &str) -> Result<()> {
    let client = world.node.client();
    let deployments = objects::all(&client, "apps/v1", "Deployment", Some(namespace)).await?;
    let what = format!("the Deployment {namespace}/{name} to be available");
    until(AVAILABLE, &what, async || {
        let found = deployments.get(name).await?;
        let available = objects::condition(&found, "Available").context("no condition yet")?;
        ensure!(available["status"] == "True", "{}", available["message"]);
        Ok(())
    })
    .await
}

struct OlmImages {
    olm: String,
    opm: String,
}

async fn push_images(world: &World) -> Result<OlmImages> {
    let olm = Image::new()
        .program("/bin/olm", program("olm").await?)
        .program("/bin/catalog", program("catalog").await?)
        .program("/bin/cpb", program("cpb").await?)
        // The unpacking Job copies cpb with it.
        .program("/bin/cp", "/usr/bin/busybox")
        .entrypoint(["/bin/olm"])
        .user("1001");
    let opm = Image::new()
        .program("/bin/opm", program("opm").await?)
        .entrypoint(["/bin/opm"])
        .user("1001");
    Ok(OlmImages {
        olm: world.images.push("olm:v0", &olm).await?,
        opm: world.images.push("opm:v1", &opm).await?,
    })
}

/// OLM's chart with our images, without what is fetched from elsewhere.
async fn render(images: &OlmImages) -> Result<Vec<Value>> {
    let source = olm_source().await?;
    let mut helm = command(program("helm").await?, ["template", "olm"]);
    helm.arg(source.join("deploy/chart"));
    helm.arg("--values")
        .arg(source.join("deploy/upstream/values.yaml"));
    for value in [
        format!("olm.image.ref={}", images.olm),
        format!("catalog.image.ref={}", images.olm),
        format!("package.image.ref={}", images.olm),
        format!("catalog.opmImageArgs=--opmImage={}", images.opm),
        "catalog.commandArgs=--configmapServerImage=none".to_owned(),
    ] {
        helm.arg("--set").arg(value);
    }
    let mut manifests = objects::documents(&run(helm).await?)?;
    // The public catalog is out of reach, and the server of package manifests is for consoles.
    manifests.retain(|manifest| {
        !["CatalogSource", "ClusterServiceVersion"]
            .map(Value::from)
            .contains(&manifest["kind"])
    });
    Ok(manifests)
}

/// The kinds of the Prometheus operator, which every OpenShift cluster has and which the bundle needs.
async fn install_monitoring_kinds(world: &World) -> Result<()> {
    let client = world.node.client();
    for (kind, plural) in [
        ("ServiceMonitor", "servicemonitors"),
        ("PrometheusRule", "prometheusrules"),
    ] {
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.monitoring.coreos.com") },
            "spec": {
                "group": "monitoring.coreos.com",
                "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
                "versions": [{
                    "name": "v1",
                    "served": true,
                    "storage": true,
                    "schema": { "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": true,
                    } },
                }],
            },
        });
        objects::apply(&client, crd).await?;
    }
    objects::wait_for_crds(&client).await
}
