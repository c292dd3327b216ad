//! What a policy is asked: the resource and its namespace, as far as a policy may see them.

use std::collections::BTreeMap;

use ecr_policy_model::{Request, Resource, ServiceAccount};
use kube::ResourceExt;

use crate::api::CredentialResource;
use crate::schedule::Frequency;

/// Annotations that tools keep for themselves: of no use to a policy, and large.
const TOOLS: [&str; 2] = ["kubectl.kubernetes.io/", "ecr.mobb.redhat.com/"];

/// The request for a resource; `service_accounts` are those of its namespace, sorted by name. Its time and its token are the
/// caller's to set.
pub fn request<K: CredentialResource>(
    resource: &K,
    service_accounts: Vec<ServiceAccount>,
    frequency: &Frequency,
    region: Option<&str>,
) -> Request {
    let view = resource.view();
    let namespace = resource.namespace().unwrap_or_default();
    let settings = view.policy.and_then(|policy| policy.settings.as_ref());
    Request {
        now: 0,
        resource: Resource {
            kind: K::model_kind(),
            name: resource.name_any(),
            uid: resource.uid().unwrap_or_default(),
            labels: pairs(resource.labels(), |_| true),
            annotations: pairs(resource.annotations(), |key| {
                !TOOLS.iter().any(|prefix| key.starts_with(prefix))
            }),
            registry: view.registry.to_owned(),
            region: region.map(str::to_owned),
            generated_secret_name: view.generated_secret_name.map(str::to_owned),
            frequency_seconds: frequency.seconds(),
            service_accounts: view.account_links(),
            namespace,
        },
        service_accounts,
        token: None,
        settings: settings
            .and_then(|settings| serde_json::to_string(settings).ok())
            .unwrap_or_else(|| "{}".to_owned()),
    }
}

fn pairs(map: &BTreeMap<String, String>, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    map.iter()
        .filter(|(key, _)| wanted(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
