//! Namespace, service account and Deployment.
//!
//! Names, mounts and variables are those of the original operator: an existing Secret
//! `aws-ecr-cloud-credentials` works as it is, in both of its forms.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use serde_json::{Value, json};

use super::metrics::{self, METRICS_PORT};
use super::rbac::{self, Scope};
use super::{crds, manifest, metadata, stream, users};
use crate::api::OPERATOR_NAME;

/// The port of the container where kubelet asks.
pub(super) const HEALTH_PORT: i32 = 8081;
/// The namespace of the operator when nobody chooses another.
pub const DEFAULT_NAMESPACE: &str = "ecr-secret-operator";
/// The name of the Deployment and of its service account.
pub const WORKLOAD_NAME: &str = "ecr-secret-operator-controller-manager";

/// The Secret in the operator's namespace that holds its AWS identity.
pub const CREDENTIALS_SECRET: &str = "aws-ecr-cloud-credentials";
const CREDENTIALS_DIR: &str = "/var/run/secrets/aws";
/// Holds compiled policies; nobody but the operator can write there.
const POLICY_CACHE_DIR: &str = "/var/cache/ecr-secret-operator";
/// The `ConfigMap` in the operator's namespace that holds the administrator's guardrail, if it exists.
pub(super) const GUARDRAIL_CONFIG_MAP: &str = "ecr-policy-guardrail";
const GUARDRAIL_DIR: &str = "/etc/ecr-secret-operator/guardrail";
/// The original operator's selector. A selector cannot be changed, so with another one an upgrade from it would be refused.
const SELECTOR: [(&str, &str); 1] = [("control-plane", "controller-manager")];
const WEB_IDENTITY_DIR: &str = "/var/run/secrets/openshift/serviceaccount";

/// What may differ between two installations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The operator's own namespace.
    pub namespace: String,
    /// The image to run.
    pub image: String,
    /// The namespaces to watch.
    pub scope: Scope,
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            image: OPERATOR_NAME.to_owned(),
            scope: Scope::Cluster,
        }
    }
}

impl Installation {
    /// Roles and bindings, as one YAML stream.
    pub fn rbac_yaml(&self) -> String {
        stream(rbac::objects(self))
    }

    /// What the metrics need, as one YAML stream: a Service, and the roles of the operator and of readers.
    pub fn metrics_yaml(&self) -> String {
        let mut objects = metrics::roles(&self.namespace);
        objects.push(metrics::service(&self.namespace));
        stream(objects)
    }

    /// Namespace, service account and Deployment, as one YAML stream.
    pub fn operator_yaml(&self) -> String {
        stream(self.operator())
    }

    /// Everything, in an order in which it can be applied, as one YAML stream.
    pub fn install_yaml(&self) -> String {
        let mut objects: Vec<Value> = crds().iter().map(manifest).collect();
        let mut operator = self.operator().into_iter();
        // Roles live in the namespace, and the Deployment starts best when its permissions are there.
        objects.extend(operator.next());
        objects.extend(rbac::objects(self));
        objects.extend(users::roles());
        objects.extend(metrics::roles(&self.namespace));
        objects.push(metrics::service(&self.namespace));
        objects.extend(operator);
        stream(objects)
    }

    fn operator(&self) -> Vec<Value> {
        let mut namespace = Namespace {
            metadata: metadata(&self.namespace, None),
            ..Namespace::default()
        };
        namespace.metadata.labels.get_or_insert_default().insert(
            "pod-security.kubernetes.io/enforce".to_owned(),
            "restricted".to_owned(),
        );
        let account = ServiceAccount {
            metadata: metadata(WORKLOAD_NAME, Some(&self.namespace)),
            ..ServiceAccount::default()
        };
        vec![manifest(&namespace), manifest(&account), self.deployment()]
    }

    /// The Deployment.
    pub fn deployment(&self) -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(WORKLOAD_NAME, Some(&self.namespace)),
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": SELECTOR.into_iter().collect::<BTreeMap<_, _>>() },
                "template": {
                    "metadata": {
                        "labels": labels(),
                        "annotations": { "kubectl.kubernetes.io/default-container": "manager" },
                    },
                    "spec": {
                        "serviceAccountName": WORKLOAD_NAME,
                        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                        // Longer than the operator takes to end, which is 10 s at the most.
                        "terminationGracePeriodSeconds": 15,
                        "containers": [self.container()],
                        "volumes": volumes(),
                    },
                },
            },
        })
    }

    fn container(&self) -> Value {
        json!({
            "name": "manager",
            "image": self.image,
            "args": ["run", "--leader-elect"],
            "env": self.environment(),
            "ports": [
                { "name": "https-metrics", "containerPort": METRICS_PORT },
                { "name": "health", "containerPort": HEALTH_PORT },
            ],
            "livenessProbe": { "httpGet": { "path": "/healthz", "port": "health" }, "initialDelaySeconds": 15, "periodSeconds": 20 },
            "readinessProbe": { "httpGet": { "path": "/readyz", "port": "health" }, "initialDelaySeconds": 2, "periodSeconds": 5 },
            // The memory is for the compiler of policies, which may have 256 MiB; the operator needs a tenth.
            "resources": { "requests": { "cpu": "20m", "memory": "64Mi" }, "limits": { "memory": "512Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true,
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [
                { "name": "aws-credentials", "mountPath": CREDENTIALS_DIR, "readOnly": true },
                { "name": "web-identity", "mountPath": WEB_IDENTITY_DIR, "readOnly": true },
                { "name": "policy-cache", "mountPath": POLICY_CACHE_DIR },
                { "name": "policy-guardrail", "mountPath": GUARDRAIL_DIR, "readOnly": true },
                { "name": "tmp", "mountPath": "/tmp" },
            ],
        })
    }

    fn environment(&self) -> Value {
        let watched = match &self.scope {
            Scope::Cluster => String::new(),
            Scope::Namespaces(namespaces) => namespaces.join(","),
        };
        let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
        let key = |key: &str| json!({ "secretKeyRef": { "name": CREDENTIALS_SECRET, "key": key, "optional": true } });
        json!([
            { "name": "WATCH_NAMESPACE", "value": watched },
            { "name": "POD_NAME", "valueFrom": field("metadata.name") },
            { "name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace") },
            { "name": "POLICY_CACHE_DIR", "value": POLICY_CACHE_DIR },
            { "name": "POLICY_GUARDRAIL_DIR", "value": GUARDRAIL_DIR },
            { "name": "AWS_CONFIG_FILE", "value": format!("{CREDENTIALS_DIR}/credentials") },
            { "name": "AWS_ACCESS_KEY_ID", "valueFrom": key("aws_access_key_id") },
            { "name": "AWS_SECRET_ACCESS_KEY", "valueFrom": key("aws_secret_access_key") },
        ])
    }
}

fn volumes() -> Value {
    json!([
        {
            "name": "aws-credentials",
            // The operator starts without it, and reads it when it appears.
            "secret": { "secretName": CREDENTIALS_SECRET, "optional": true, "items": [{ "key": "credentials", "path": "credentials" }] },
        },
        {
            "name": "web-identity",
            "projected": { "sources": [{ "serviceAccountToken": { "audience": "openshift", "path": "token" } }] },
        },
        { "name": "policy-cache", "emptyDir": { "sizeLimit": "300Mi" } },
        { "name": "policy-guardrail", "configMap": { "name": GUARDRAIL_CONFIG_MAP, "optional": true } },
        { "name": "tmp", "emptyDir": { "sizeLimit": "64Mi" } },
    ])
}

/// The labels of everything that belongs to the installation.
pub fn labels() -> BTreeMap<String, String> {
    [("app.kubernetes.io/name", OPERATOR_NAME)]
        .into_iter()
        .chain(SELECTOR)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
