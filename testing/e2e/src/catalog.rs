//! Bundles of the operator, and the catalog that OLM finds them in.

use crate::images::Image;
use crate::process::{command, run};
use crate::programs::program;
use crate::{World, objects, olm, until};
use anyhow::{Context, Result, ensure};
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The package of the operator.
pub const PACKAGE: &str = "ecr-secret-operator";
/// The API of OLM's kinds.
pub const OPERATORS: &str = "operators.coreos.com/v1alpha1";
/// The catalog's name in OLM's namespace.
pub const CATALOG: &str = "e2e";
/// The registry pod's startup probe asks every ten seconds.
const SERVED: Duration = Duration::from_mins(2);

/// A version of the operator as OLM gets it.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The name of its `ClusterServiceVersion`.
    pub name: String,
    /// The entry in the channels.
    pub entry: Value,
    /// Paths in the image, and texts.
    pub files: Vec<(String, String)>,
}

impl Bundle {
    /// The one in the repository, unchanged.
    ///
    /// # Errors
    /// A file cannot be read, or the template of the catalog has no channel.
    pub fn shipped() -> Result<Self> {
        let root = repository().join("bundle");
        let mut files = Vec::new();
        for folder in ["manifests", "metadata"] {
            for entry in fs::read_dir(root.join(folder)).context("read the bundle")? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                files.push((format!("/{folder}/{name}"), fs::read_to_string(&path)?));
            }
        }
        let template = template()?;
        let entry = template["entries"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|entry| entry["schema"] == "olm.channel")
            .map(|channel| channel["entries"][0].clone())
            .context("catalog-template.yaml has no channel")?;
        let name = entry["name"].as_str().context("an entry without a name")?;
        Ok(Self {
            name: name.to_owned(),
            entry,
            files,
        })
    }

    /// Pushes it as an image, with the labels that `bundle.Dockerfile` gives it.
    async fn push(&self, world: &World) -> Result<String> {
        let metadata = "/metadata/annotations.yaml";
        let annotations = self.files.iter().find(|(path, _)| path == metadata);
        let annotations: Value =
            serde_norway::from_str(&annotations.context("no annotations.yaml")?.1)?;
        let mut image = Image::new();
        for (key, value) in annotations["annotations"].as_object().into_iter().flatten() {
            image = image.label(key, value.as_str().unwrap_or_default());
        }
        for (path, text) in &self.files {
            image = image.text(path, text);
        }
        let tag = self.name.replace(".v", "-bundle:v");
        world.images.push(&tag, &image).await
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn template() -> Result<Value> {
    let path = repository().join("bundle/catalog-template.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    serde_norway::from_str(&text).context("read catalog-template.yaml")
}

/// Serves these bundles, the oldest first, in the catalog's channels, and waits until OLM can read them.
///
/// # Errors
/// The catalog is not valid, or its pod does not serve in time.
pub async fn publish(world: &World, bundles: &[&Bundle]) -> Result<()> {
    let client = world.node.client();
    let image = push(world, bundles).await?;
    let source = json!({
        "apiVersion": OPERATORS,
        "kind": "CatalogSource",
        "metadata": { "name": CATALOG, "namespace": olm::NAMESPACE },
        "spec": {
            "sourceType": "grpc",
            "image": image,
            "grpcPodConfig": { "securityContextConfig": "restricted" },
        },
    });
    let sources = objects::all(&client, OPERATORS, "CatalogSource", Some(olm::NAMESPACE)).await?;
    let before = sources.get_opt(CATALOG).await?;
    if before
        .as_ref()
        .is_some_and(|before| before.data["spec"]["image"] == image.as_str())
    {
        return Ok(());
    }
    let connected = |source: &DynamicObject| source.data["status"]["connectionState"].clone();
    let before = before.as_ref().map(connected).unwrap_or_default();
    objects::apply(&client, source).await?;
    wait_for_pod(world, &image).await?;
    // OLM answers from what it knows of the catalog before, until it has connected anew.
    until(SERVED, "OLM to connect to the catalog", async || {
        let state = connected(&sources.get(CATALOG).await?);
        ensure!(
            state["lastObservedState"] == "READY" && state["lastConnect"] != before["lastConnect"],
            "it is {state}"
        );
        Ok(())
    })
    .await
}

async fn wait_for_pod(world: &World, image: &str) -> Result<()> {
    let client = world.node.client();
    let pods = objects::all(&client, "v1", "Pod", Some(olm::NAMESPACE)).await?;
    let params = ListParams::default().labels(&format!("olm.catalogSource={CATALOG}"));
    until(SERVED, "the catalog's pod", async || {
        let found = pods.list(&params).await?.items;
        ensure!(found.len() == 1, "there are {} pods", found.len());
        let spec = &found[0].data["spec"];
        ensure!(
            spec["containers"][0]["image"] == image,
            "it serves the catalog before"
        );
        let ready = objects::condition(&found[0], "Ready").context("it is not started")?;
        ensure!(ready["status"] == "True", "{}", ready["message"]);
        Ok(())
    })
    .await
}

async fn push(world: &World, bundles: &[&Bundle]) -> Result<String> {
    let opm = program("opm").await?;
    let mut documents = Vec::new();
    for mut document in template()?["entries"]
        .as_array()
        .cloned()
        .into_iter()
        .flatten()
    {
        match document["schema"].as_str() {
            Some("olm.package") => {}
            Some("olm.channel") => {
                document["entries"] = bundles.iter().map(|bundle| bundle.entry.clone()).collect();
            }
            _ => continue,
        }
        documents.push(serde_norway::to_string(&document)?);
    }
    for bundle in bundles {
        let image = bundle.push(world).await?;
        let render = command(&opm, ["render", "--use-http", "--output=yaml", &image]);
        documents.push(run(render).await?);
    }
    let folder = world.node.folder().join("catalog");
    fs::create_dir_all(&folder).context("create the catalog's folder")?;
    let text = documents.join("---\n");
    fs::write(folder.join("catalog.yaml"), &text).context("write the catalog")?;
    let mut validate = command(&opm, ["validate"]);
    validate.arg(&folder);
    run(validate).await?;
    let image = Image::new()
        .program("/bin/opm", opm)
        .program(
            "/bin/grpc_health_probe",
            program("grpc-health-probe").await?,
        )
        .text("/configs/catalog.yaml", text)
        .entrypoint(["/bin/opm"])
        .command([
            "serve",
            "/configs",
            "--cache-dir=/tmp/cache",
            "--cache-enforce-integrity=false",
        ])
        .user("1001");
    world.images.push("catalog:latest", &image).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_shipped_bundle_stands_in_the_channels_under_the_name_of_its_csv() {
        let bundle = Bundle::shipped().unwrap();
        let csv = bundle
            .files
            .iter()
            .find(|(path, _)| path.ends_with(".clusterserviceversion.yaml"));
        let csv: Value = serde_norway::from_str(&csv.unwrap().1).unwrap();
        assert_eq!(csv["metadata"]["name"], bundle.name.as_str());
        assert_eq!(csv["spec"]["replaces"], bundle.entry["replaces"]);
    }
}
