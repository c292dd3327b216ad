//! What the operator must be allowed, and not more.

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use serde_json::Value;

use super::operator::{Installation, WORKLOAD_NAME};
use super::{manifest, metadata};
use crate::api::{GROUP, LEASE_NAME, OPERATOR_NAME};

/// The namespaces that the operator watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them: a `ClusterRole`.
    #[default]
    Cluster,
    /// These: a `Role` in each, and nothing cluster-wide.
    Namespaces(Vec<String>),
}

/// The plurals of our kinds.
pub(super) const KINDS: [&str; 2] = ["secrets", "argohelmreposecrets"];

pub(super) fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(texts(resources)),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}

/// What the operator must be allowed in every namespace that it watches.
///
/// - Our resources are read; only their status is written.
/// - Secrets are listed and watched as metadata, read one at a time to see whose one is, created,
///   patched, and deleted after a rename. They are never updated as a whole.
/// - Service accounts are patched, never replaced, and no token is ever asked for.
/// - `ConfigMaps` hold policies and are read.
pub fn tenant_rules() -> Vec<PolicyRule> {
    vec![
        rule(GROUP, &KINDS, &["get", "list", "watch"]),
        rule(
            GROUP,
            &["secrets/status", "argohelmreposecrets/status"],
            &["patch"],
        ),
        rule(
            "",
            &["secrets"],
            &["get", "list", "watch", "create", "patch", "delete"],
        ),
        rule("", &["serviceaccounts"], &["get", "list", "watch", "patch"]),
        rule("", &["configmaps"], &["get", "list", "watch"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

/// What the operator must be allowed in its own namespace: the Lease of the leader election. Creation
/// cannot be limited to a name, because the API server does not know the name yet when it authorises.
pub fn lease_rules() -> Vec<PolicyRule> {
    const LEASES: &str = "coordination.k8s.io";
    let named = PolicyRule {
        resource_names: Some(vec![LEASE_NAME.to_owned()]),
        ..rule(LEASES, &["leases"], &["get", "update"])
    };
    vec![rule(LEASES, &["leases"], &["create"]), named]
}

/// The namespace of OpenShift's Cloud Credential Operator, where it looks for requests.
pub const CREDENTIALS_REQUEST_NAMESPACE: &str = "openshift-cloud-credential-operator";

/// What the operator must be allowed to ask OpenShift for credentials of a role. Creation cannot be limited to a name.
pub fn credentials_request_rules() -> Vec<PolicyRule> {
    const GROUP: &str = "cloudcredential.openshift.io";
    let named = PolicyRule {
        resource_names: Some(vec![OPERATOR_NAME.to_owned()]),
        ..rule(GROUP, &["credentialsrequests"], &["get", "patch"])
    };
    vec![rule(GROUP, &["credentialsrequests"], &["create"]), named]
}

/// All roles and bindings of an installation.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    let Installation {
        namespace, scope, ..
    } = installation;
    let leases = format!("{OPERATOR_NAME}-leader-election");
    let mut objects = match scope {
        Scope::Cluster => cluster_wide(OPERATOR_NAME, tenant_rules(), namespace),
        Scope::Namespaces(watched) => watched
            .iter()
            .flat_map(|watched| in_namespace(OPERATOR_NAME, watched, tenant_rules(), namespace))
            .collect(),
    };
    objects.extend(in_namespace(&leases, namespace, lease_rules(), namespace));
    objects
}

pub(super) fn cluster_wide(
    name: &str,
    rules: Vec<PolicyRule>,
    operator_namespace: &str,
) -> Vec<Value> {
    let role = ClusterRole {
        metadata: metadata(name, None),
        rules: Some(rules),
        ..ClusterRole::default()
    };
    let binding = ClusterRoleBinding {
        metadata: metadata(name, None),
        role_ref: role_ref("ClusterRole", name),
        subjects: Some(vec![subject(operator_namespace)]),
    };
    vec![manifest(&role), manifest(&binding)]
}

fn in_namespace(
    name: &str,
    namespace: &str,
    rules: Vec<PolicyRule>,
    operator_namespace: &str,
) -> Vec<Value> {
    let role = Role {
        metadata: metadata(name, Some(namespace)),
        rules: Some(rules),
    };
    let binding = RoleBinding {
        metadata: metadata(name, Some(namespace)),
        role_ref: role_ref("Role", name),
        subjects: Some(vec![subject(operator_namespace)]),
    };
    vec![manifest(&role), manifest(&binding)]
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn subject(operator_namespace: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: WORKLOAD_NAME.to_owned(),
        namespace: Some(operator_namespace.to_owned()),
        ..Subject::default()
    }
}
