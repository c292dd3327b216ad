//! What the metrics need: a Service, and the permission to ask who may read them.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::{manifest, metadata, operator, rbac};
use crate::api::OPERATOR_NAME;

/// The Service of the metrics, as the original operator named it.
pub const METRICS_SERVICE: &str = "ecr-secret-operator-controller-manager-metrics-service";
/// The port of the container and of the Service.
pub const METRICS_PORT: i32 = 8443;
/// The name of the port.
pub const METRICS_PORT_NAME: &str = "https-metrics";

/// What the operator has to ask the API server about whoever reads the metrics.
pub fn metrics_auth_rules() -> Vec<PolicyRule> {
    vec![
        rbac::rule("authentication.k8s.io", &["tokenreviews"], &["create"]),
        rbac::rule(
            "authorization.k8s.io",
            &["subjectaccessreviews"],
            &["create"],
        ),
    ]
}

/// What whoever reads the metrics has to be allowed.
pub fn metrics_reader_rules() -> Vec<PolicyRule> {
    vec![PolicyRule {
        non_resource_urls: Some(vec!["/metrics".to_owned()]),
        verbs: vec!["get".to_owned()],
        ..PolicyRule::default()
    }]
}

/// The name of the role for readers; it is bound to nobody.
pub fn reader_role_name() -> String {
    format!("{OPERATOR_NAME}-metrics-reader")
}

/// The roles: one for the operator, bound to it, and one for readers.
pub(super) fn roles(operator_namespace: &str) -> Vec<Value> {
    let reader = ClusterRole {
        metadata: metadata(&reader_role_name(), None),
        rules: Some(metrics_reader_rules()),
        ..ClusterRole::default()
    };
    let auth = format!("{OPERATOR_NAME}-metrics-auth");
    let mut objects = rbac::cluster_wide(&auth, metrics_auth_rules(), operator_namespace);
    objects.push(manifest(&reader));
    objects
}

/// The Service.
pub fn service(namespace: &str) -> Value {
    let port = ServicePort {
        name: Some(METRICS_PORT_NAME.to_owned()),
        port: METRICS_PORT,
        target_port: Some(IntOrString::String(METRICS_PORT_NAME.to_owned())),
        ..ServicePort::default()
    };
    manifest(&Service {
        metadata: metadata(METRICS_SERVICE, Some(namespace)),
        spec: Some(ServiceSpec {
            ports: Some(vec![port]),
            selector: Some(operator::labels()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}
