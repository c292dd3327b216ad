//! A Kubernetes node: control plane, containerd, kubelet, kube-proxy and DNS, all in our network namespace.

mod containerd;
mod control_plane;
mod daemons;
mod dns;
mod keys;
mod kubelet;

pub use daemons::Daemons;

use crate::network::ADDRESS;
use crate::process::{command, run};
use crate::{programs, until};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Api, Client, Config};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The node's name.
pub const NAME: &str = "node1";
/// The administrator's token; nobody outside of the namespace reaches the API server.
const TOKEN: &str = "administrator";
const READY: Duration = Duration::from_mins(2);

/// A running node.
pub struct Node {
    folder: PathBuf,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    client: Client,
    daemons: Daemons,
}

impl Node {
    /// Starts everything and waits until the node is Ready. What is started ends with the network namespace.
    ///
    /// # Errors
    /// A program cannot be had, ends, or is not ready in time.
    pub async fn start(folder: &Path) -> Result<Self> {
        let binaries = programs::control_plane().await?;
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        keys::write(folder)?;
        let kubeconfig = folder.join("kubeconfig");
        write_kubeconfig(folder, &kubeconfig)?;
        let daemons = Daemons::new(folder);
        control_plane::start(&daemons, &binaries)?;
        let node = Self {
            client: client(&kubeconfig).await?,
            kubectl: binaries.kubectl,
            folder: folder.to_owned(),
            kubeconfig,
            daemons,
        };
        node.wait_for_apiserver().await?;
        control_plane::start_controllers(&node.daemons, binaries.kube_controller_manager).await?;
        dns::start(&node).await?;
        containerd::start(&node.daemons).await?;
        kubelet::start(&node.daemons).await?;
        node.wait_until_ready().await?;
        Ok(node)
    }

    /// A client as the cluster's administrator.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where everything of the node is; a place for what goes with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The processes of the node, and of what else lives as long.
    pub fn daemons(&self) -> &Daemons {
        &self.daemons
    }

    /// Runs kubectl as the administrator and returns what it printed.
    ///
    /// # Errors
    /// It ends with an error, which is then in the message.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = command(&self.kubectl, arguments);
        kubectl.env("KUBECONFIG", &self.kubeconfig);
        run(kubectl).await
    }

    /// Lets containerd fetch what is named by this registry's host from another address, in clear text. The port belongs
    /// to the host.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn mirror(&self, host: &str, address: &str) -> Result<()> {
        containerd::mirror(&self.folder, host, address)
    }

    /// How a person gets at the node.
    pub fn invitation(&self) -> String {
        format!(
            "the node stays until ctrl-c: nsenter --net=/run/netns/ecr-e2e {} --kubeconfig {} get pods -A",
            self.kubectl.display(),
            self.kubeconfig.display()
        )
    }

    async fn wait_for_apiserver(&self) -> Result<()> {
        let answer = until(READY, "the API server", async || {
            self.daemons.check()?;
            // It answers before the ranges of Services are there.
            let request = Request::new("/readyz").list(&ListParams::default())?;
            Ok(self.client.request_text(request).await?)
        });
        answer.await.map(drop)
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.client());
        until(READY, "the node to be Ready", async || {
            self.daemons.check()?;
            let status = nodes.get(NAME).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let ready = conditions
                .iter()
                .find(|condition| condition.type_ == "Ready");
            let ready = ready.context("kubelet tells nothing yet")?;
            ensure!(
                ready.status == "True",
                "{}",
                ready.message.as_deref().unwrap_or("not Ready")
            );
            Ok(())
        })
        .await
    }
}

fn write_kubeconfig(folder: &Path, path: &Path) -> Result<()> {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "clusters": [{ "name": "e2e", "cluster": {
            "server": format!("https://{ADDRESS}:6443"),
            "certificate-authority": folder.join(keys::CA),
        } }],
        "users": [{ "name": "administrator", "user": { "token": TOKEN } }],
        "contexts": [{ "name": "e2e", "context": { "cluster": "e2e", "user": "administrator" } }],
    });
    // JSON is YAML.
    fs::write(path, config.to_string()).context("write the kubeconfig")?;
    fs::write(
        folder.join(control_plane::TOKENS),
        format!("{TOKEN},administrator,administrator,system:masters\n"),
    )
    .context("write the API server's tokens")
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let parsed = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
