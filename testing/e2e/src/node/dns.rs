//! The cluster's DNS: a process of ours behind the address that kubelet gives to pods. OLM needs it to find its catalogs.

use super::keys::CA;
use super::{Node, TOKEN};
use crate::network::ADDRESS;
use crate::process::command;
use crate::programs::program;
use crate::{objects, until};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

/// The address of the Service.
pub(super) const CLUSTER_DNS: &str = "10.0.0.10";
const RANGE: Duration = Duration::from_secs(30);

/// Starts the process, and makes the Service whose only endpoint it is.
pub(super) async fn start(node: &Node) -> Result<()> {
    let mut dns = command(
        program("minidns").await?,
        [
            format!("-listen={ADDRESS}:53"),
            format!("-server=https://{ADDRESS}:6443"),
            format!("-ca={}", node.daemons.path(CA)),
        ],
    );
    dns.env("MINIDNS_TOKEN", TOKEN);
    node.daemons.start("minidns", dns)?;
    let ports = [
        json!({ "name": "dns", "port": 53, "protocol": "UDP" }),
        json!({ "name": "dns-tcp", "port": 53, "protocol": "TCP" }),
    ];
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "kube-dns", "namespace": "kube-system" },
        "spec": { "clusterIP": CLUSTER_DNS, "ports": ports },
    });
    // No selector: the endpoint is no pod.
    let endpoints = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-1",
            "namespace": "kube-system",
            "labels": { "kubernetes.io/service-name": "kube-dns" },
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{ "addresses": [ADDRESS] }],
    });
    // The API server makes the range of Services some time after it says that it is ready.
    until(RANGE, "the range of Services", async || {
        objects::apply(&node.client(), service.clone()).await
    })
    .await?;
    objects::apply(&node.client(), endpoints).await
}
