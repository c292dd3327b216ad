//! The `ClusterServiceVersion`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::OPERATOR_NAME;
use ecr_secret_core::manifests::{
    DEFAULT_NAMESPACE, Installation, WORKLOAD_NAME, credentials_request_rules, lease_rules,
    metrics_auth_rules, tenant_rules,
};
use serde_json::{Value, json};

use super::{REPLACED, VERSION, descriptors, text};

const ICON: &[u8] = include_bytes!("../../../deploy/icon.svg");
const EXAMPLES: [&str; 2] = [
    include_str!("../../../samples/ecr_v1alpha1_secret.yaml"),
    include_str!("../../../samples/ecr_v1alpha1_argohelmreposecret.yaml"),
];
/// When this version was made. Fixed, so that a bundle is the same whenever it is built.
const CREATED_AT: &str = "2026-11-24T00:00:00Z";
const INSTALL_MODES: [&str; 4] = [
    "OwnNamespace",
    "SingleNamespace",
    "MultiNamespace",
    "AllNamespaces",
];
/// The kinds of the core that the operator needs.
const NATIVE: [&str; 3] = ["Secret", "ConfigMap", "ServiceAccount"];
const REPOSITORY: &str = "https://github.com/rh-mobb/ecr-secret-operator";

/// The name of a version.
pub(crate) fn name(version: &str) -> String {
    format!("{OPERATOR_NAME}.v{version}")
}

/// The versions that this one may be installed over.
pub(super) fn skip_range() -> String {
    format!(">={REPLACED} <{VERSION}")
}

pub(super) fn csv(image: &str) -> Value {
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": name(VERSION),
            "annotations": annotations(image),
            "labels": {
                "operatorframework.io/arch.amd64": "supported",
                "operatorframework.io/arch.arm64": "supported",
                "operatorframework.io/os.linux": "supported",
            },
        },
        "spec": {
            "displayName": "ECR Secret Operator",
            "description": text::DESCRIPTION,
            "version": VERSION,
            "replaces": name(REPLACED),
            "maturity": "stable",
            "minKubeVersion": "1.30.0",
            "provider": { "name": "Red Hat MOBB", "url": "https://github.com/rh-mobb" },
            "maintainers": [{ "name": "Red Hat MOBB", "email": "mobb@redhat.com" }],
            "keywords": ["aws", "ecr", "registry", "pull secret", "credentials", "argocd", "helm", "webassembly"],
            "links": [
                { "name": "Documentation", "url": format!("{REPOSITORY}/tree/main/docs") },
                { "name": "Source", "url": REPOSITORY },
            ],
            "icon": [{ "base64data": STANDARD.encode(ICON), "mediatype": "image/svg+xml" }],
            "installModes": INSTALL_MODES.map(|mode| json!({ "type": mode, "supported": true })).to_vec(),
            // With `true`, OLM would delete the users' resources with the operator, and their pull secrets with them.
            "cleanup": { "enabled": false },
            "relatedImages": [{ "name": OPERATOR_NAME, "image": image }],
            "nativeAPIs": NATIVE.map(|kind| json!({ "group": "", "version": "v1", "kind": kind })).to_vec(),
            "customresourcedefinitions": { "owned": descriptors::owned() },
            "install": { "strategy": "deployment", "spec": install(image) },
        },
    })
}

fn annotations(image: &str) -> Value {
    // True only where nothing has to be looked up by a tag.
    let pinned = image.contains("@sha256:");
    let feature = |name: &str| format!("features.operators.openshift.io/{name}");
    json!({
        "alm-examples": examples(),
        "capabilities": "Deep Insights",
        "categories": "Security, Integration & Delivery, Developer Tools",
        "containerImage": image,
        "createdAt": CREATED_AT,
        "description": text::SUMMARY,
        "repository": REPOSITORY,
        "support": "Red Hat MOBB",
        "olm.skipRange": skip_range(),
        feature("disconnected"): pinned.to_string(),
        feature("fips-compliant"): "false",
        feature("proxy-aware"): "true",
        feature("tls-profiles"): "false",
        feature("token-auth-aws"): "true",
        feature("token-auth-azure"): "false",
        feature("token-auth-gcp"): "false",
        feature("cnf"): "false",
        feature("cni"): "false",
        feature("csi"): "false",
        "operatorframework.io/suggested-namespace": DEFAULT_NAMESPACE,
        "operatorframework.io/suggested-namespace-template": namespace(),
        "operatorframework.io/cluster-monitoring": "true",
        "console.openshift.io/operator-monitoring-default": "true",
        "operators.openshift.io/valid-subscription": "[]",
    })
}

/// The namespace as the console makes it: watched by the cluster's monitoring, and strict about its pods.
fn namespace() -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": DEFAULT_NAMESPACE,
            "labels": {
                "openshift.io/cluster-monitoring": "true",
                "pod-security.kubernetes.io/enforce": "restricted",
            },
        },
    })
    .to_string()
}

/// The samples, without their namespaces: the console has its own.
fn examples() -> String {
    let objects: Vec<Value> = EXAMPLES
        .iter()
        .filter_map(|yaml| serde_norway::from_str(yaml).ok())
        .map(|mut object: Value| {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("namespace");
            }
            object
        })
        .collect();
    serde_json::to_string_pretty(&objects).unwrap_or_default() // never fails: it is JSON
}

/// What OLM creates. Everything is in `permissions`, which OLM grants in the namespaces of the group only, but what can be
/// asked of a whole cluster only.
fn install(image: &str) -> Value {
    let mut namespaced = tenant_rules();
    namespaced.extend(lease_rules());
    let mut whole = metrics_auth_rules();
    whole.extend(credentials_request_rules());
    let granted = |rules| json!([{ "serviceAccountName": WORKLOAD_NAME, "rules": rules }]);
    json!({
        "permissions": granted(namespaced),
        "clusterPermissions": granted(whole),
        "deployments": [deployment(image)],
    })
}

/// The Deployment of the installation, with what only OLM knows.
fn deployment(image: &str) -> Value {
    let installation = Installation {
        image: image.to_owned(),
        ..Installation::default()
    };
    let mut deployment = installation.deployment();
    let template = &mut deployment["spec"]["template"];
    template["metadata"]["annotations"]["openshift.io/required-scc"] = json!("restricted-v2");
    template["spec"]["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchExpressions": [
            { "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"] },
            { "key": "kubernetes.io/os", "operator": "In", "values": ["linux"] },
        ] }],
    } } });
    let target =
        json!({ "fieldRef": { "fieldPath": "metadata.annotations['olm.targetNamespaces']" } });
    if let Some(variables) = template["spec"]["containers"][0]["env"].as_array_mut() {
        for variable in variables.iter_mut() {
            if variable["name"] == "WATCH_NAMESPACE" {
                *variable = json!({ "name": "WATCH_NAMESPACE", "valueFrom": target });
            }
        }
        variables.push(json!({ "name": "RELATED_IMAGE_ECR_SECRET_OPERATOR", "value": image }));
    }
    json!({
        "name": WORKLOAD_NAME,
        "label": deployment["metadata"]["labels"],
        "spec": deployment["spec"],
    })
}
