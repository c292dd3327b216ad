//! What the cluster's monitoring reads.

use ecr_secret_core::api::OPERATOR_NAME;
use ecr_secret_core::manifests::{METRICS_PORT_NAME, labels};
use serde_json::{Value, json};

const ALERTS: &str = include_str!("../../../deploy/monitoring/alerts.yaml");
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
