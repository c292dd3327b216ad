//! kubelet and kube-proxy.

use super::containerd::{POD_NETWORK, SOCKET};
use super::dns::CLUSTER_DNS;
use super::keys::CA;
use super::{Daemons, NAME};
use crate::network::ADDRESS;
use crate::process::command;
use crate::programs::program;
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;

/// Starts both.
pub(super) async fn start(daemons: &Daemons) -> Result<()> {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": daemons.path(CA) },
        },
        "authorization": { "mode": "Webhook" },
        "containerRuntimeEndpoint": format!("unix://{}", daemons.path(SOCKET)),
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        // A Secret that changed reaches the pods within seconds and not within a minute.
        "syncFrequency": "10s",
        // Machines of today and of yesterday, with and without systemd, with full disks and with swap.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": { "nodefs.available": "0%" },
    });
    fs::write(daemons.folder().join("kubelet.yaml"), config.to_string())
        .context("write kubelet's configuration")?;
    let kubeconfig = format!("--kubeconfig={}", daemons.path("kubeconfig"));
    let hostname = format!("--hostname-override={NAME}");
    let arguments = [
        format!("--config={}", daemons.path("kubelet.yaml")),
        kubeconfig.clone(),
        format!("--root-dir={}", daemons.path("kubelet")),
        hostname.clone(),
        format!("--node-ip={ADDRESS}"),
    ];
    daemons.start("kubelet", command(program("kubelet").await?, arguments))?;
    let arguments = [
        kubeconfig,
        "--proxy-mode=iptables".to_owned(),
        hostname,
        format!("--cluster-cidr={POD_NETWORK}"),
        // These settings belong to the whole machine.
        "--conntrack-max-per-core=0".to_owned(),
        "--metrics-bind-address=127.0.0.1:10249".to_owned(),
    ];
    let proxy = program("kube-proxy").await?;
    daemons.start("kube-proxy", command(proxy, arguments))
}
