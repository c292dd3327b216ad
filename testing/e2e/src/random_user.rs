//! Pods run as a user that nobody knows beforehand, as on OpenShift.

use crate::objects;
use anyhow::Result;
use kube::Client;
use serde_json::json;

const NAME: &str = "random-user";
/// OpenShift begins here.
const FIRST: u32 = 1_000_600_000;

/// The user, another one in each run.
pub fn user() -> u32 {
    FIRST + std::process::id()
}

/// Gives pods of restricted namespaces that name no user one of our choice. OLM's own namespace goes without, since OLM gives
/// its pods a user itself.
pub(crate) async fn enforce(client: &Client) -> Result<()> {
    let user = user();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": NAME },
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": { "matchExpressions": [
                    { "key": "pod-security.kubernetes.io/enforce", "operator": "In", "values": ["restricted"] },
                    { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["olm"] },
                ] },
                "resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                }],
            },
            "matchConditions": [{
                "name": "names-no-user",
                "expression": "!has(object.spec.securityContext) || !has(object.spec.securityContext.runAsUser)",
            }],
            "mutations": [{
                "patchType": "ApplyConfiguration",
                "applyConfiguration": { "expression": format!(
                    "Object{{spec: Object.spec{{securityContext: Object.spec.securityContext{{runAsUser: {user}, fsGroup: {user}}}}}}}"
                ) },
            }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": NAME },
        "spec": { "policyName": NAME },
    });
    objects::apply(client, policy).await?;
    objects::apply(client, binding).await
}
