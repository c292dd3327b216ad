//! What the cluster's monitoring reads, and who may reach the operator.

use ecr_secret_core::api::OPERATOR_NAME;
use ecr_secret_core::manifests::{METRICS_PORT, METRICS_PORT_NAME, labels};
use serde_json::{Value, json};

const ALERTS: &str = include_str!("../../../deploy/monitoring/alerts.yaml");
/// The instance metadata service and the agent of EKS Pod Identity.
const METADATA: [&str; 4] = [
    "169.254.169.254/32",
    "169.254.170.23/32",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
];
/// Where Prometheus has its own token.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

pub(super) fn service_monitor() -> Value {
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": { "name": OPERATOR_NAME, "labels": labels() },
        "spec": {
            "selector": { "matchLabels": labels() },
            "endpoints": [{
                "port": METRICS_PORT_NAME,
                "scheme": "https",
                "interval": "30s",
                "bearerTokenFile": TOKEN_FILE,
                // The operator signs its certificate itself unless it is given another.
                "tlsConfig": { "insecureSkipVerify": true },
            }],
        },
    })
}

pub(super) fn prometheus_rule() -> Value {
    let rules: Value = serde_norway::from_str(ALERTS).unwrap_or_default(); // a test reads it
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": { "name": OPERATOR_NAME, "labels": labels() },
        "spec": rules,
    })
}

/// The API server, DNS, AWS and registries on one side, kubelet and Prometheus on the other.
pub(super) fn network_policy() -> Value {
    let port = |port: i32, protocol: &str| json!({ "port": port, "protocol": protocol });
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": OPERATOR_NAME, "labels": labels() },
        "spec": {
            "podSelector": { "matchLabels": labels() },
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{ "ports": [port(METRICS_PORT, "TCP"), port(8081, "TCP")] }],
            // Addresses of AWS and of the API server are not known beforehand, so ports are what can be said. 5353 is
            // OpenShift's DNS.
            "egress": [
                { "ports": [port(53, "UDP"), port(53, "TCP"), port(5353, "UDP"), port(5353, "TCP")] },
                { "ports": [port(443, "TCP"), port(6443, "TCP")] },
                // Where instance roles and EKS Pod Identity come from.
                { "to": METADATA.map(|cidr| json!({ "ipBlock": { "cidr": cidr } })).to_vec(), "ports": [port(80, "TCP")] },
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_those_of_the_file() {
        let rule = prometheus_rule();
        let groups = rule["spec"]["groups"].as_array().map_or(0, Vec::len);
        assert!(groups > 0, "{rule}");
    }
}
