//! A control plane of our own: its start, its restart, its end.

use crate::files::{kubeconfig, random_token, write_private};
use crate::ports::free_port;
use crate::processes::{Process, Watchdog};
use crate::record::{Running, TOKENS, refuse_foreign};
use crate::{Binaries, Cluster, Error, Progress, keys, no_progress};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ListParams;
use kube::core::Request;
use kube::{Api, Client};
use serde_json::json;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// Generous: a machine that compiles at the same time needs a multiple of the usual three seconds.
const READY_TIMEOUT: Duration = Duration::from_mins(2);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// A request of the readiness probe that hangs is given up after this time.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a start is tried when another process took one of the chosen ports.
const ATTEMPTS: usize = 3;

/// Which controllers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Controllers {
    /// No controller: no default service accounts, no garbage collection, a deleted namespace never goes.
    None,
    /// What an operator sees of a cluster: service accounts, namespaces, garbage collection, Deployments,
    /// aggregated cluster roles, the CA's ConfigMap.
    #[default]
    Essential,
    /// All that kube-controller-manager has.
    All,
}

/// How a control plane is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which controllers run.
    pub controllers: Controllers,
    /// Where its data, keys and logs go; none for a temporary directory. It must be empty or not exist, and
    /// goes away with the control plane.
    pub directory: Option<PathBuf>,
    /// Told of long steps, which are the builds of missing programs.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controllers: Controllers::default(),
            directory: None,
            progress: no_progress,
        }
    }
}

/// A running control plane. It ends when this is dropped or the process ends.
///
/// All that one does with it as a user of Kubernetes is in [`Cluster`], to which this derefs.
pub struct ControlPlane {
    // The order matters: fields are dropped from the first to the last, processes before their directory.
    controller_manager: Mutex<Option<Process>>,
    apiserver: Mutex<Option<Process>>,
    etcd: Option<Process>,
    watchdog: Option<Watchdog>,
    temporary: Option<TempDir>,
    cluster: Cluster,
    directory: PathBuf,
    binaries: Binaries,
    controllers: Controllers,
    ports: Ports,
}

#[derive(Clone, Copy)]
struct Ports {
    etcd: u16,
    etcd_peer: u16,
    apiserver: u16,
}

impl Deref for ControlPlane {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready, some three seconds on an idle machine; the first
    /// time ever, when the programs have to be built, some minutes.
    ///
    /// # Errors
    /// As [`Binaries::ensure`]; a program ends or is not ready in time, with the end of its log in the message;
    /// the directory is in use.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let progress = options.progress;
        let binaries = tokio::task::spawn_blocking(move || Binaries::ensure(progress))
            .await
            .map_err(|error| Error::Unsupported(format!("the set-up was cut off: {error}")))??;
        let mut attempt = 1;
        loop {
            let result = Self::start_once(&options, &binaries).await;
            match result {
                Err(error) if attempt < ATTEMPTS && is_port_conflict(&error) => attempt += 1,
                other => return other,
            }
        }
    }

    async fn start_once(options: &Options, binaries: &Binaries) -> Result<Self, Error> {
        let controllers = match (options.controllers, &binaries.kube_controller_manager) {
            // Programs of KUBEBUILDER_ASSETS need not have it, and all but garbage collection can be tested.
            (Controllers::Essential, None) => Controllers::None,
            (Controllers::All, None) => {
                return Err(Error::Unsupported(
                    "KUBEBUILDER_ASSETS has no kube-controller-manager: put it there or unset the variable".to_owned(),
                ));
            }
            (wanted, _) => wanted,
        };
        let (directory, temporary) = prepare_directory(options.directory.as_deref())?;
        let ports = Ports {
            etcd: free_port()?,
            etcd_peer: free_port()?,
            apiserver: free_port()?,
        };
        let token = random_token()?;
        // The first file, by which the directory is known as ours even when the rest fails.
        write_private(
            &directory.join(TOKENS),
            &format!("{token},admin,admin,system:masters\n"),
        )?;
        keys::write(&directory)?;
        let running = Running {
            kubeconfig: directory.join("kubeconfig"),
            kubectl: binaries.kubectl.clone(),
            controllers: controllers != Controllers::None,
        };
        let server = json!({
            "server": format!("https://127.0.0.1:{}", ports.apiserver),
            "certificate-authority": directory.join(keys::CA),
        });
        write_private(&running.kubeconfig, &kubeconfig(&server, &token, "default"))?;
        let watchdog = Watchdog::start(&directory)?;
        let cluster = Cluster::open(&running, directory.join("accounts")).await?;
        let etcd = start_etcd(&directory, binaries, ports)?;
        let control_plane = Self {
            controller_manager: Mutex::new(None),
            apiserver: Mutex::new(None),
            etcd: Some(etcd),
            watchdog: Some(watchdog),
            temporary,
            cluster,
            directory,
            binaries: binaries.clone(),
            controllers,
            ports,
        };
        control_plane.start_apiserver().await?;
        control_plane.start_controllers().await?;
        running.write(&control_plane.directory)?;
        Ok(control_plane)
    }

    /// The directory of its data, keys and logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Kills the API server, as a crash would: connections and watches break. Data and port stay.
    pub fn stop_apiserver(&self) {
        lock(&self.apiserver).take();
    }

    /// Starts the API server again, on the same port and data, and waits until it is ready. When it runs, it
    /// only waits.
    ///
    /// # Errors
    /// It ends or is not ready in time.
    pub async fn start_apiserver(&self) -> Result<(), Error> {
        {
            let mut apiserver = lock(&self.apiserver);
            if apiserver.is_none() {
                *apiserver = Some(Process::start(
                    &self.directory,
                    "kube-apiserver",
                    &self.binaries.kube_apiserver,
                    &apiserver_arguments(&self.directory, self.ports),
                )?);
            }
        }
        let client = self.client()?;
        self.wait_for(&self.apiserver, || async {
            // The path that gives no object but the word "ok".
            let probe = Request::new("/readyz").list(&ListParams::default());
            let request = probe.map_err(|error| error.to_string())?;
            let answer = client.request_text(request).await;
            answer.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    /// Starts the controllers anew. The garbage collector then knows CRDs that were installed since its start; by
    /// itself it looks for new ones only every 30 seconds. Without controllers it does nothing.
    ///
    /// # Errors
    /// They end at once, or do not work in time.
    pub async fn restart_controllers(&self) -> Result<(), Error> {
        lock(&self.controller_manager).take();
        self.start_controllers().await
    }

    async fn start_controllers(&self) -> Result<(), Error> {
        let Some(path) = &self.binaries.kube_controller_manager else {
            return Ok(());
        };
        if self.controllers == Controllers::None {
            return Ok(());
        }
        *lock(&self.controller_manager) = Some(Process::start(
            &self.directory,
            "kube-controller-manager",
            path,
            &controller_arguments(&self.directory, self.controllers),
        )?);
        let client: Client = self.client()?;
        let accounts = Api::<ServiceAccount>::namespaced(client, "default");
        // The first thing that the controllers do shows that they work.
        self.wait_for(&self.controller_manager, || async {
            let answer = accounts.get("default").await;
            answer.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    /// Leaves the control plane running after this process. [`crate::shut_down`] ends it.
    pub fn detach(mut self) -> Running {
        let running = Running {
            kubeconfig: self.cluster.kubeconfig_path().to_owned(),
            kubectl: self.binaries.kubectl.clone(),
            controllers: self.controllers != Controllers::None,
        };
        // Without its watchdog first, which would end what is detached.
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.dismiss();
        }
        if let Some(temporary) = self.temporary.take() {
            let _ = temporary.keep();
        }
        let processes = [
            self.etcd.take(),
            lock(&self.apiserver).take(),
            lock(&self.controller_manager).take(),
        ];
        for process in processes.into_iter().flatten() {
            process.detach();
        }
        running
    }

    /// Ends everything, as dropping does.
    pub fn stop(self) {
        drop(self);
    }

    /// Asks `probe` until it succeeds; fails when `process` or etcd ends, or the time is over.
    async fn wait_for<P, F>(
        &self,
        process: &Mutex<Option<Process>>,
        mut probe: F,
    ) -> Result<(), Error>
    where
        F: FnMut() -> P,
        P: Future<Output = Result<(), String>>,
    {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let seen = match timeout(PROBE_TIMEOUT, probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(seen)) => seen,
                Err(_) => "no answer".to_owned(),
            };
            if let Some(process) = lock(process).as_mut() {
                process.check()?;
                if Instant::now() > deadline {
                    let problem = format!("is not ready after {READY_TIMEOUT:?} ({seen})");
                    return Err(process.problem(problem));
                }
            }
            sleep(POLL_EVERY).await;
        }
    }
}

/// A panic of another test while it held the lock leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The programs say so in different words, but all in this form at the end of their logs.
fn is_port_conflict(error: &Error) -> bool {
    matches!(error, Error::NotReady { tail, .. } if tail.contains("address already in use"))
}

fn prepare_directory(wanted: Option<&Path>) -> Result<(PathBuf, Option<TempDir>), Error> {
    let Some(wanted) = wanted else {
        let temporary = tempfile::Builder::new()
            .prefix("test-cluster-")
            .tempdir()
            .map_err(Error::file("create", std::env::temp_dir()))?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    fs::create_dir_all(wanted).map_err(Error::file("create", wanted))?;
    let directory = wanted
        .canonicalize()
        .map_err(Error::file("resolve", wanted))?;
    refuse_foreign(&directory)?;
    if crate::find(&directory).is_some() {
        return Err(Error::Unsupported(format!(
            "a control plane runs in {}: end it first",
            directory.display()
        )));
    }
    // What a killed run left behind.
    crate::shut_down(&directory)?;
    fs::create_dir_all(&directory).map_err(Error::file("create", &directory))?;
    Ok((directory, None))
}

fn start_etcd(directory: &Path, binaries: &Binaries, ports: Ports) -> Result<Process, Error> {
    let client = format!("http://127.0.0.1:{}", ports.etcd);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    let arguments = [
        format!("--data-dir={}", directory.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--log-level=warn".to_owned(),
        // The data need not survive the machine, and a test waits for every write.
        "--unsafe-no-fsync".to_owned(),
    ];
    Process::start(directory, "etcd", &binaries.etcd, &arguments)
}

fn apiserver_arguments(directory: &Path, ports: Ports) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.apiserver),
        format!("--tls-cert-file={}", file(keys::SERVER_CERTIFICATE)),
        format!("--tls-private-key-file={}", file(keys::SERVER_KEY)),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", file(TOKENS)),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file(keys::ACCOUNTS_PUBLIC)),
        format!(
            "--service-account-signing-key-file={}",
            file(keys::ACCOUNTS_KEY)
        ),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
        // Nobody looks for this API server through the kubernetes Service.
        "--endpoint-reconciler-type=none".to_owned(),
        "--shutdown-delay-duration=0s".to_owned(),
    ]
}

fn controller_arguments(directory: &Path, controllers: Controllers) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    let wanted = match controllers {
        Controllers::All => "*",
        Controllers::Essential | Controllers::None => {
            "serviceaccount-controller,namespace-controller,garbage-collector-controller,deployment-controller,\
             replicaset-controller,clusterrole-aggregation-controller,root-ca-certificate-publisher-controller"
        }
    };
    vec![
        format!("--kubeconfig={}", file("kubeconfig")),
        format!("--root-ca-file={}", file(keys::CA)),
        format!("--controllers={wanted}"),
        "--leader-elect=false".to_owned(),
        // No port: it has nothing to tell that its log does not.
        "--secure-port=0".to_owned(),
        // Namespaces with many objects go away as fast as the API server can.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ]
}
