//! The cluster that the demo plays on: a control plane of its own, or one that the user names. The latter is left as
//! it was found.

use super::screen::Screen;
use crate::BadInput;
use crate::process::succeeds;
use anyhow::{Context, Result};
use ecr_secret_core::manifests::{WORKLOAD_NAME, crds};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use test_cluster::{Binaries, Cluster, ControlPlane, Options, print_progress};
use tokio::time::timeout;

/// The namespace of the samples.
pub(super) const NAMESPACE: &str = "test-ecr-secret-operator";
/// The operator's own namespace.
pub(super) const OPERATOR_NAMESPACE: &str = "ecr-secret-operator-demo";

/// How long a cluster may take to answer at all.
const ANSWER: Duration = Duration::from_secs(10);
/// How long namespaces may take to go.
const REMOVAL: &str = "--timeout=120s";

/// A cluster.
pub(super) enum Place {
    /// Ours; it ends with this value.
    Own(Box<ControlPlane>),
    /// The user's.
    Given(Box<Given>),
}

impl Deref for Place {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        match self {
            Self::Own(plane) => plane,
            Self::Given(given) => &given.cluster,
        }
    }
}

impl Place {
    /// Starts a control plane.
    pub(super) async fn own(screen: &Screen) -> Result<Self> {
        let options = Options {
            progress: print_progress,
            ..Options::default()
        };
        let start = ControlPlane::start(options);
        Ok(Self::Own(Box::new(
            screen.watch("the control plane", start).await?,
        )))
    }

    /// kubectl, and the kubeconfig to use it with.
    pub(super) fn kubectl_program(&self) -> PathBuf {
        match self {
            Self::Own(plane) => plane.kubectl().get_program().into(),
            Self::Given(given) => given.kubectl.clone(),
        }
    }

    /// kubectl as the cluster's administrator.
    pub(super) fn kubectl(&self) -> Command {
        let mut command = Command::new(self.kubectl_program());
        command
            .env("KUBECONFIG", self.kubeconfig_path())
            .current_dir(crate::workspace::root())
            .stdin(Stdio::null());
        command
    }

    /// From here on the demo changes the cluster.
    pub(super) fn begin(&mut self) {
        if let Self::Given(given) = self {
            given.changed = true;
        }
    }

    /// A kubeconfig with which a process is that service account; it lives as long as the demo.
    pub(super) async fn account(&mut self, namespace: &str, name: &str) -> Result<PathBuf> {
        let path = self.service_account_kubeconfig(namespace, name).await?;
        if let Self::Given(given) = self {
            given.account = Some(path.clone());
        }
        Ok(path)
    }

    /// Ends what is ours; removes from the user's cluster what the demo brought.
    pub(super) async fn end(self, screen: &Screen) -> Result<()> {
        match self {
            Self::Own(plane) => plane.stop(),
            Self::Given(given) => given.remove_all(screen).await?,
        }
        Ok(())
    }
}

/// A cluster of the user.
pub(super) struct Given {
    cluster: Cluster,
    kubectl: PathBuf,
    /// The CRDs that were not there before.
    new_crds: Vec<String>,
    /// The kubeconfig of a service account, which outlives us unless it is removed.
    account: Option<PathBuf>,
    /// Whether there is anything to remove.
    changed: bool,
}

impl Given {
    /// Looks whether the demo can be given there, without changing anything.
    ///
    /// # Errors
    /// [`BadInput`].
    pub(super) async fn open(kubeconfig: &Path) -> Result<Self> {
        // A parser shows the place too; its first line says it all.
        let refused = |error: anyhow::Error| {
            let text = format!("{error:#}");
            BadInput(text.lines().next().unwrap_or_default().to_owned())
        };
        Self::look(kubeconfig)
            .await
            .map_err(|error| error.downcast().unwrap_or_else(refused).into())
    }

    async fn look(kubeconfig: &Path) -> Result<Self> {
        let path = std::path::absolute(kubeconfig)?;
        let client = client(&path).await?;
        let shown = kubeconfig.display();
        let survey = timeout(ANSWER, survey(&client)).await;
        let survey = survey.map_err(|_| {
            BadInput(format!(
                "the cluster of {shown} does not answer: check its address, or leave out --kubeconfig"
            ))
        })?;
        let new_crds = survey.with_context(|| format!("cannot use the cluster of {shown}"))?;
        let cluster = Cluster::from_kubeconfig(&path).await?;
        let kubectl = kubectl_of(&cluster).await?;
        Ok(Self {
            cluster,
            kubectl,
            new_crds,
            account: None,
            changed: false,
        })
    }

    async fn remove_all(mut self, screen: &Screen) -> Result<()> {
        self.changed = false;
        for words in self.removals() {
            screen.command(&format!("kubectl {}", words.join(" ")));
            let mut command = tokio::process::Command::from(self.kubectl());
            command.args(&words).arg(REMOVAL).kill_on_drop(true);
            let output = screen.watch("everything to be gone", command.output());
            let output = output
                .await
                .with_context(|| format!("cannot start {}", self.kubectl.display()))?;
            screen.output(&String::from_utf8_lossy(&output.stdout));
            anyhow::ensure!(
                output.status.success(),
                "cannot remove all from the cluster: kubectl {}: {}",
                words.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    fn removals(&self) -> Vec<Vec<&str>> {
        let mut all = vec![vec!["delete", "namespace", NAMESPACE, OPERATOR_NAMESPACE]];
        if !self.new_crds.is_empty() {
            let names = self.new_crds.iter().map(String::as_str);
            all.push(["delete", "crd"].into_iter().chain(names).collect());
        }
        for words in &mut all {
            words.push("--ignore-not-found");
        }
        all
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .env("KUBECONFIG", self.cluster.kubeconfig_path())
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Given {
    /// The demo was interrupted or failed on the way: what it brought is told to go.
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            let _ = fs::remove_file(account);
            // Its directory goes too, unless somebody else has something in it.
            let _ = account.parent().map(fs::remove_dir);
        }
        if !self.changed {
            return;
        }
        for words in self.removals() {
            let done = self.kubectl().args(&words).arg("--wait=false").status();
            if !done.is_ok_and(|status| status.success()) {
                eprintln!("remove it yourself: kubectl {}", words.join(" "));
            }
        }
    }
}

/// Without [`Cluster`], which leaves a directory behind.
async fn client(kubeconfig: &Path) -> Result<Client> {
    if !kubeconfig.is_file() {
        let path = kubeconfig.display();
        let text = format!("there is no kubeconfig {path}: name one, or leave out --kubeconfig");
        return Err(BadInput(text).into());
    }
    let parsed = Kubeconfig::read_from(kubeconfig);
    let unusable = || format!("cannot use the kubeconfig {}", kubeconfig.display());
    let parsed = parsed.with_context(unusable)?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await;
    Client::try_from(config.with_context(unusable)?).with_context(unusable)
}

/// Checks that the demo disturbs nobody; the CRDs of ours that are not there.
async fn survey(client: &Client) -> Result<Vec<String>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in [NAMESPACE, OPERATOR_NAMESPACE] {
        if namespaces.get_opt(name).await?.is_some() {
            let text = format!(
                "namespace {name} exists in that cluster: delete it with `kubectl delete namespace {name}`, or leave out --kubeconfig"
            );
            return Err(BadInput(text).into());
        }
    }
    // It would serve the demo's resources too, with the credentials of a real AWS account.
    let deployments: Api<Deployment> = Api::all(client.clone());
    let named = ListParams::default().fields(&format!("metadata.name={WORKLOAD_NAME}"));
    if let Some(found) = deployments.list(&named).await?.items.first() {
        let namespace = found.namespace().unwrap_or_default();
        let text = format!(
            "an operator is installed in that cluster already (Deployment {namespace}/{WORKLOAD_NAME}): use another cluster, or leave out --kubeconfig"
        );
        return Err(BadInput(text).into());
    }
    let present: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut new = Vec::new();
    for name in crds().iter().map(ResourceExt::name_any) {
        if present.get_opt(&name).await?.is_none() {
            new.push(name);
        }
    }
    Ok(new)
}

/// The kubectl that the cluster comes with, that of the `PATH`, or that of our own control planes.
async fn kubectl_of(cluster: &Cluster) -> Result<PathBuf> {
    let program = PathBuf::from(cluster.kubectl().get_program());
    let mut version = tokio::process::Command::new(&program);
    version.args(["version", "--client"]);
    if succeeds(version).await {
        return Ok(program);
    }
    match Binaries::find() {
        Ok(Some(binaries)) => Ok(binaries.kubectl),
        _ => Err(BadInput(
            "no kubectl in the PATH: install it (https://kubernetes.io/docs/tasks/tools)"
                .to_owned(),
        )
        .into()),
    }
}
