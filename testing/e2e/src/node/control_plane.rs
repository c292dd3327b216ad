//! etcd, the API server, controllers and scheduler.

use super::Daemons;
use super::keys;
use crate::network::ADDRESS;
use crate::process::command;
use crate::programs::program;
use anyhow::{Context, Result};
use std::path::PathBuf;
use test_cluster::Binaries;

/// The API server's file of static tokens.
pub(super) const TOKENS: &str = "tokens.csv";
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// Starts etcd and the API server.
pub(super) fn start(daemons: &Daemons, binaries: &Binaries) -> Result<()> {
    let etcd = [
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        format!("--listen-peer-urls={ETCD_PEER}"),
        format!("--initial-advertise-peer-urls={ETCD_PEER}"),
        format!("--initial-cluster=default={ETCD_PEER}"),
        "--log-level=warn".to_owned(),
        // The data need not survive the machine.
        "--unsafe-no-fsync".to_owned(),
    ];
    daemons.start("etcd", command(&binaries.etcd, etcd))?;
    let apiserver = command(&binaries.kube_apiserver, apiserver(daemons));
    daemons.start("kube-apiserver", apiserver)
}

fn apiserver(daemons: &Daemons) -> Vec<String> {
    let file = |name: &str| daemons.path(name);
    let certificate = |name: &str| file(&format!("{name}.crt"));
    let key = |name: &str| file(&format!("{name}.key"));
    vec![
        format!("--etcd-servers={ETCD}"),
        "--bind-address=0.0.0.0".to_owned(),
        format!("--advertise-address={ADDRESS}"),
        "--secure-port=6443".to_owned(),
        format!("--tls-cert-file={}", certificate(keys::APISERVER)),
        format!("--tls-private-key-file={}", key(keys::APISERVER)),
        format!("--client-ca-file={}", file(keys::CA)),
        "--authorization-mode=Node,RBAC".to_owned(),
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
        format!(
            "--kubelet-client-certificate={}",
            certificate(keys::KUBELET_CLIENT)
        ),
        format!("--kubelet-client-key={}", key(keys::KUBELET_CLIENT)),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--requestheader-client-ca-file={}", file(keys::CA)),
        format!("--requestheader-allowed-names={}", keys::FRONT_PROXY),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!(
            "--proxy-client-cert-file={}",
            certificate(keys::FRONT_PROXY)
        ),
        format!("--proxy-client-key-file={}", key(keys::FRONT_PROXY)),
    ]
}

/// Starts controllers and scheduler.
pub(super) async fn start_controllers(daemons: &Daemons, manager: Option<PathBuf>) -> Result<()> {
    let manager = manager.context(
        "KUBEBUILDER_ASSETS has no kube-controller-manager: put it there or unset the variable",
    )?;
    let kubeconfig = format!("--kubeconfig={}", daemons.path("kubeconfig"));
    let arguments = [
        kubeconfig.clone(),
        format!(
            "--service-account-private-key-file={}",
            daemons.path(keys::ACCOUNTS_KEY)
        ),
        format!("--root-ca-file={}", daemons.path(keys::CA)),
        "--use-service-account-credentials=true".to_owned(),
        // The one node's range of pod addresses is fixed.
        "--controllers=*,-nodeipam".to_owned(),
        "--leader-elect=false".to_owned(),
        format!("--cert-dir={}", daemons.path("kube-controller-manager")),
        // Namespaces with many objects go away as fast as the API server can.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ];
    daemons.start("kube-controller-manager", command(manager, arguments))?;
    let arguments = [
        kubeconfig,
        "--leader-elect=false".to_owned(),
        "--authentication-skip-lookup=true".to_owned(),
    ];
    let scheduler = program("kube-scheduler").await?;
    daemons.start("kube-scheduler", command(scheduler, arguments))
}
