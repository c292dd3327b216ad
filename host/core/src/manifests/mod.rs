//! The manifests that install the operator, generated from one place.
//!
//! The command line, the single-file installation, the Helm chart and the OLM bundle all take CRDs,
//! permissions and Deployment from here, so they cannot differ.

mod crds;
mod metrics;
mod network;
mod operator;
mod rbac;
mod users;

pub use crds::crds;
pub use metrics::{
    METRICS_PORT, METRICS_PORT_NAME, METRICS_SERVICE, metrics_auth_rules, metrics_reader_rules,
    reader_role_name, service,
};
pub use operator::{CREDENTIALS_SECRET, DEFAULT_NAMESPACE, Installation, WORKLOAD_NAME, labels};
pub use rbac::{
    CREDENTIALS_REQUEST_NAMESPACE, Scope, credentials_request_rules, lease_rules, tenant_rules,
};

use serde::Serialize;
use serde_json::Value;

/// The CRDs of both kinds, as one YAML stream.
pub fn crds_yaml() -> String {
    stream(crds().iter().map(manifest))
}

/// Everything that the operator in [`DEFAULT_NAMESPACE`] must be allowed, as one YAML stream.
pub fn rbac_yaml(scope: &Scope) -> String {
    Installation {
        scope: scope.clone(),
        ..Installation::default()
    }
    .rbac_yaml()
}

/// Namespace, service account and Deployment of a cluster-wide installation, as one YAML stream.
pub fn operator_yaml(image: &str) -> String {
    Installation {
        image: image.to_owned(),
        ..Installation::default()
    }
    .operator_yaml()
}

/// A whole cluster-wide installation, as one YAML stream that can be applied as it is.
pub fn install_yaml(image: &str) -> String {
    Installation {
        image: image.to_owned(),
        ..Installation::default()
    }
    .install_yaml()
}

/// The `NetworkPolicy` of an installation in [`DEFAULT_NAMESPACE`], to be applied beside it.
pub fn network_policy_yaml() -> String {
    stream([network::policy(DEFAULT_NAMESPACE)])
}

/// One object as JSON.
fn manifest<T: Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap_or_default() // never fails: API objects are plain data
}

/// One YAML document per object.
fn stream(objects: impl IntoIterator<Item = Value>) -> String {
    let document = |object: Value| serde_norway::to_string(&object).unwrap_or_default(); // never fails: it is JSON
    objects
        .into_iter()
        .map(document)
        .collect::<Vec<_>>()
        .join("---\n")
}

/// Metadata of an object that belongs to the installation.
fn metadata(name: &str, namespace: Option<&str>) -> kube::core::ObjectMeta {
    kube::core::ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(operator::labels()),
        ..kube::core::ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
