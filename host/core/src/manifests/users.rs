//! What the cluster's users may do with our kinds, by the roles that they have in their namespaces.

use k8s_openapi::api::rbac::v1::ClusterRole;
use serde_json::Value;

use super::{manifest, metadata, rbac};
use crate::api::{GROUP, OPERATOR_NAME};

/// The roles that Kubernetes adds to its own `admin`, `edit` and `view`, as OLM makes them for what it installs. See
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>.
pub(super) fn roles() -> Vec<Value> {
    let read = ["get", "list", "watch"];
    let write = ["create", "update", "patch", "delete", "deletecollection"];
    let role = |name: &str, verbs: &[&str], added_to: &[&str]| {
        let mut role = ClusterRole {
            metadata: metadata(&format!("{OPERATOR_NAME}-{name}"), None),
            rules: Some(vec![rbac::rule(GROUP, &rbac::KINDS, verbs)]),
            ..ClusterRole::default()
        };
        let labels = role.metadata.labels.get_or_insert_default();
        labels.extend(added_to.iter().map(|to| {
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
            (label, "true".to_owned())
        }));
        manifest(&role)
    };
    vec![
        role("edit", &write, &["admin", "edit"]),
        // Who may edit may view: Kubernetes' own roles include each other.
        role("view", &read, &["admin", "edit", "view"]),
    ]
}
