//! Manifests against the schemas of a real API server, by kubeconform, and against the server itself.
//!
//! The schemas are what the server says about its kinds, and about ours once it has the CRDs. Nothing is downloaded.

use super::chart::{EVERYTHING, template};
use super::here;
use super::openapi::schema;
use crate::process::output;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use test_cluster::{ControlPlane, Controllers, Options, print_progress};

/// Kinds that this API server does not have.
const ELSEWHERE: [&str; 4] = [
    // OLM's; the validators of the operator framework judge it.
    "ClusterServiceVersion",
    // The Prometheus operator's; promtool judges the rules.
    "ServiceMonitor",
    "PrometheusRule",
    // OpenShift's.
    "BuildConfig",
];
/// How long the server may take to say what our kinds are, after it has the CRDs.
const PUBLISHED: Duration = Duration::from_mins(1);
const POLL_EVERY: Duration = Duration::from_millis(200);

/// A control plane that has our CRDs, and the manifests to judge.
pub(super) struct Server {
    cluster: ControlPlane,
    /// The single manifest and the network policy beside it, the chart with everything switched on, the bundle, the samples.
    manifests: Vec<PathBuf>,
}

impl Server {
    pub(super) async fn start(helm: &Path) -> Result<Self> {
        let root = workspace::root();
        let chart = workspace::target().join("packages/chart.yaml");
        super::write(&chart, &output(template(helm, EVERYTHING)).await?)?;
        let deploy = root.join("deploy");
        let mut manifests = vec![
            deploy.join("install.yaml"),
            deploy.join("networkpolicy.yaml"),
            chart,
        ];
        for directory in ["bundle/manifests", "samples"] {
            for entry in std::fs::read_dir(root.join(directory))? {
                let path = entry?.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "yaml")
                {
                    manifests.push(path);
                }
            }
        }
        let cluster = ControlPlane::start(Options {
            controllers: Controllers::None,
            progress: print_progress,
            ..Options::default()
        })
        .await?;
        let crds = root.join("deploy/crds.yaml").display().to_string();
        cluster.run_kubectl(&["apply", "--server-side", "-f", &crds])?;
        Ok(Self { cluster, manifests })
    }

    /// kubeconform judges all manifests, and has to refuse one with fields that do not exist.
    pub(super) async fn conform(&self, kubeconform: &Path) -> Result<()> {
        let directory = workspace::target().join("packages/schemas");
        for (group_version, kind) in self.kinds()? {
            self.write_schema(&directory, &group_version, &kind).await?;
        }
        let location = directory.join("{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json");
        let command = || {
            let mut command = here(kubeconform);
            command.args(["-strict", "-skip", &ELSEWHERE.join(",")]);
            command.arg("-schema-location").arg(&location);
            command
        };
        let mut judge = command();
        judge.arg("-summary").args(&self.manifests);
        eprint!("{}", output(judge).await?);
        for (name, wrong) in [
            (
                "core",
                "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replica: 1, selector: {}, template: {}}}",
            ),
            (
                "ours",
                "{apiVersion: ecr.mobb.redhat.com/v1alpha1, kind: Secret, metadata: {name: a}, spec: {regions: a}}",
            ),
        ] {
            let path = workspace::target().join(format!("packages/wrong-{name}.yaml"));
            super::write(&path, wrong)?;
            let mut judge = command();
            let told = judge.arg(&path).output().await?;
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            if !told.contains("additional properties") {
                bail!("kubeconform accepts fields that do not exist: {wrong}: {told}");
            }
        }
        Ok(())
    }

    /// The API server takes all of it, with strict field validation, by admission and without storing it.
    pub(super) fn dry_run(&self) -> Result<()> {
        // A dry run does not make the namespaces that the other objects are in.
        for namespace in ["ecr-secret-operator", "test-ecr-secret-operator"] {
            self.cluster
                .run_kubectl(&["create", "namespace", namespace])?;
        }
        for path in &self.manifests {
            let known: Vec<String> = objects(path)?
                .into_iter()
                .filter(|object| !is_elsewhere(object))
                .map(|object| object.to_string())
                .collect();
            if known.is_empty() {
                continue;
            }
            let file = workspace::target().join("packages/dry-run.yaml");
            super::write(&file, &known.join("\n---\n"))?;
            let file = file.display().to_string();
            let apply = [
                "apply",
                "--server-side",
                "--dry-run=server",
                "--validate=strict",
                "-f",
                &file,
            ];
            self.cluster
                .run_kubectl(&apply)
                .with_context(|| workspace::shown(path))?;
        }
        Ok(())
    }

    /// The kinds of all manifests that this server has.
    fn kinds(&self) -> Result<BTreeSet<(String, String)>> {
        let mut kinds = BTreeSet::new();
        for path in &self.manifests {
            for object in objects(path)?.iter().filter(|object| !is_elsewhere(object)) {
                let text = |field: &str| object[field].as_str().map(str::to_owned);
                let (version, kind) = (text("apiVersion"), text("kind"));
                let named = version.zip(kind);
                kinds.insert(named.with_context(|| format!("{} holds no object", path.display()))?);
            }
        }
        Ok(kinds)
    }

    /// Writes what the server says about a kind to where kubeconform looks for it.
    async fn write_schema(&self, directory: &Path, group_version: &str, kind: &str) -> Result<()> {
        let (root, group, version) = match group_version.split_once('/') {
            Some((group, version)) => ("apis", group, version),
            // kubeconform has no empty name for the core's group.
            None => ("api", group_version, group_version),
        };
        let path = format!("/openapi/v3/{root}/{group_version}");
        let deadline = Instant::now() + PUBLISHED;
        let schema = loop {
            let published = self.cluster.run_kubectl(&["get", "--raw", &path]);
            let published = published.map_err(anyhow::Error::from);
            let schema = published.and_then(|text| schema(&serde_json::from_str(&text)?, kind));
            match schema {
                Ok(schema) => break schema,
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("the API server says nothing at {path}")));
                }
                Err(_) => tokio::time::sleep(POLL_EVERY).await,
            }
        };
        let file = format!("{group}/{}_{version}.json", kind.to_lowercase());
        super::write(&directory.join(file), &schema.to_string())
    }
}

fn is_elsewhere(object: &Value) -> bool {
    object["kind"]
        .as_str()
        .is_some_and(|kind| ELSEWHERE.contains(&kind))
}

fn objects(path: &Path) -> Result<Vec<Value>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut objects = Vec::new();
    for document in serde_norway::Deserializer::from_str(&text) {
        let object = Value::deserialize(document).with_context(|| path.display().to_string())?;
        if !object.is_null() {
            objects.push(object);
        }
    }
    Ok(objects)
}
