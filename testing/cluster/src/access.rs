//! Access to a control plane, our own or a given one: clients, kubectl, namespaces, service accounts.

use crate::files::{kubeconfig, write_private};
use crate::record::Running;
use crate::{Error, eventually};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a token of a service account lives: longer than any run.
const TOKEN_LIFE: Duration = Duration::from_hours(7 * 24);

/// How long the controllers may take to give a namespace its default service account.
const ACCOUNT_TIMEOUT: Duration = Duration::from_mins(1);

/// Access to a control plane as its administrator, and as its service accounts.
///
/// It holds no connection: every client is new, so that each test may have a runtime of its own.
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    controllers: bool,
    /// Where the kubeconfigs of service accounts go.
    accounts: PathBuf,
    config: Config,
    /// The `cluster` part of the kubeconfig: the server and its CA.
    server: Value,
}

impl Cluster {
    /// A control plane that runs already. kubectl is the one that fits a control plane of this crate, else the
    /// one of the `PATH`.
    ///
    /// # Errors
    /// The file cannot be read or is not a usable kubeconfig.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self, Error> {
        let directory = path.parent().unwrap_or(Path::new("."));
        if let Some(running) = Running::read(directory).filter(|found| found.kubeconfig == path) {
            return Self::open(&running, directory.join("accounts")).await;
        }
        let running = Running {
            kubeconfig: path.to_owned(),
            kubectl: PathBuf::from("kubectl"),
            controllers: true,
        };
        let accounts = tempfile::Builder::new()
            .prefix("test-cluster-accounts-")
            .tempdir()
            .map_err(Error::file("create", std::env::temp_dir()))?;
        Self::open(&running, accounts.keep()).await
    }

    pub(crate) async fn open(running: &Running, accounts: PathBuf) -> Result<Self, Error> {
        let path = &running.kubeconfig;
        let unusable = |reason: String| Error::Kubeconfig {
            path: path.clone(),
            reason,
        };
        let parsed = Kubeconfig::read_from(path).map_err(|error| unusable(error.to_string()))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(parsed.clone(), &options)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        let server = server_of(&parsed)
            .ok_or_else(|| unusable("its current context names no cluster".to_owned()))?;
        Ok(Self {
            kubeconfig: path.clone(),
            kubectl: running.kubectl.clone(),
            controllers: running.controllers,
            accounts,
            config,
            server,
        })
    }

    /// A new client as the cluster's administrator.
    ///
    /// # Errors
    /// The kubeconfig's certificates cannot be used.
    pub fn client(&self) -> Result<Client, Error> {
        client_of(self.config.clone(), &self.kubeconfig)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether controllers run: namespaces get a default service account, owned objects are collected,
    /// namespaces that are deleted go away.
    pub fn has_controllers(&self) -> bool {
        self.controllers
    }

    /// kubectl as the cluster's administrator, ready for arguments.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.env("KUBECONFIG", &self.kubeconfig);
        command.stdin(Stdio::null());
        command
    }

    /// Runs kubectl to its end and returns what it printed.
    ///
    /// # Errors
    /// It cannot be started, or ends with an error, which is then in the message.
    pub fn run_kubectl(&self, arguments: &[&str]) -> Result<String, Error> {
        let output = self
            .kubectl()
            .args(arguments)
            .output()
            .map_err(|source| Error::Spawn {
                program: self.kubectl.display().to_string(),
                source,
            })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Kubectl {
            arguments: arguments.join(" "),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Creates a namespace whose name begins with `prefix` and that nobody else has, and waits until it has
    /// its default service account.
    ///
    /// # Errors
    /// The API server refuses it.
    ///
    /// # Panics
    /// When the default service account does not appear.
    pub async fn create_namespace(&self, prefix: &str) -> Result<String, Error> {
        let client = self.client()?;
        let object = format!("namespace {prefix}-*");
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{prefix}-")),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let created = Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(Error::api("create", object))?;
        let name = created.metadata.name.unwrap_or_default();
        let accounts = Api::<ServiceAccount>::namespaced(client, &name);
        let what = format!("the service account default of namespace {name}");
        if self.controllers {
            eventually(ACCOUNT_TIMEOUT, &what, || accounts.get("default")).await;
        } else {
            let account = ServiceAccount {
                metadata: ObjectMeta {
                    name: Some("default".to_owned()),
                    ..ObjectMeta::default()
                },
                ..ServiceAccount::default()
            };
            accounts
                .create(&PostParams::default(), &account)
                .await
                .map_err(Error::api("create", what))?;
        }
        Ok(name)
    }

    /// A token of a service account for the given audiences; none means the API server itself.
    ///
    /// # Errors
    /// There is no such service account, or the life is under 600 seconds.
    pub async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[&str],
        life: Duration,
    ) -> Result<String, Error> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audiences.iter().map(ToString::to_string).collect(),
                expiration_seconds: Some(i64::try_from(life.as_secs()).unwrap_or(i64::MAX)),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let response = Api::<ServiceAccount>::namespaced(self.client()?, namespace)
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .map_err(Error::api(
                "get a token for",
                format!("service account {namespace}/{name}"),
            ))?;
        Ok(response
            .status
            .map(|status| status.token)
            .unwrap_or_default())
    }

    /// A kubeconfig with which a process is that service account, and its namespace the default one. The token
    /// lives a week; the file lives as long as the control plane.
    ///
    /// # Errors
    /// There is no such service account; the file cannot be written.
    pub async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf, Error> {
        let token = self
            .service_account_token(namespace, name, &[], TOKEN_LIFE)
            .await?;
        let path = self.accounts.join(format!(
            "{namespace}.{name}.{}.kubeconfig",
            std::process::id()
        ));
        fs::create_dir_all(&self.accounts).map_err(Error::file("create", &self.accounts))?;
        write_private(&path, &kubeconfig(&self.server, &token, namespace))?;
        Ok(path)
    }

    /// A new client that is that service account, with exactly its rights.
    ///
    /// # Errors
    /// As [`Cluster::service_account_kubeconfig`].
    pub async fn client_as_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Client, Error> {
        let path = self.service_account_kubeconfig(namespace, name).await?;
        let unusable = |reason: String| Error::Kubeconfig {
            path: path.clone(),
            reason,
        };
        let parsed = Kubeconfig::read_from(&path).map_err(|error| unusable(error.to_string()))?;
        let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
            .await
            .map_err(|error| unusable(error.to_string()))?;
        client_of(config, &path)
    }
}

fn client_of(config: Config, path: &Path) -> Result<Client, Error> {
    Client::try_from(config).map_err(|error| Error::Kubeconfig {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// The `cluster` entry that the current context names, without the user.
fn server_of(config: &Kubeconfig) -> Option<Value> {
    let current = config.current_context.as_ref()?;
    let context = config
        .contexts
        .iter()
        .find(|context| &context.name == current)?;
    let name = &context.context.as_ref()?.cluster;
    let cluster = config
        .clusters
        .iter()
        .find(|cluster| &cluster.name == name)?;
    serde_json::to_value(cluster.cluster.as_ref()?).ok()
}
