//! Where a resource's policy module is: in which key of which `ConfigMap`, or in which registry.

use std::fmt;

use k8s_openapi::api::core::v1::ConfigMap;

use crate::api::PolicyRef;
use crate::decide::Problem;
use crate::reason::Reason;

/// Where a module is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PolicySource {
    /// In a `ConfigMap` of the resource's namespace.
    ConfigMap {
        /// Its name.
        name: String,
        /// The key, if the spec names one.
        key: Option<String>,
    },
    /// In a registry, as an OCI artifact.
    Image {
        /// `host/repository@sha256:<64 hexadecimal digits>`.
        reference: String,
        /// The Secret of the resource's namespace that opens the registry.
        pull_secret: Option<String>,
    },
}

impl PolicySource {
    /// The `ConfigMap`'s name, if it is one.
    pub fn config_map(&self) -> Option<&str> {
        match self {
            Self::ConfigMap { name, .. } => Some(name),
            Self::Image { .. } => None,
        }
    }

    /// How a status names it: `configmap/x`, `oci/host/repository@sha256:…`.
    pub fn status(&self) -> String {
        match self {
            Self::ConfigMap { name, .. } => format!("configmap/{name}"),
            Self::Image { reference, .. } => format!("oci/{reference}"),
        }
    }
}

/// How messages name it.
impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigMap { name, .. } => write!(f, "ConfigMap {name}"),
            Self::Image { reference, .. } => write!(f, "image {reference}"),
        }
    }
}

/// The source that decides; none when none shall. `defaults` lists the `ConfigMaps` of the namespace with the label that
/// makes them the default.
///
/// # Errors
/// The spec asks for a policy and says too little, or the namespace has too many defaults.
pub fn source_of(
    policy: Option<&PolicyRef>,
    defaults: impl FnOnce() -> Vec<String>,
) -> Result<Option<PolicySource>, Problem> {
    let key = policy.and_then(|policy| policy.key.clone());
    if let Some(reference) = policy.and_then(|policy| policy.image.as_ref()) {
        // The API server refuses what is not of this form, but may have stored it before it did.
        if !is_pinned(reference) {
            let message = format!(
                "spec.policy.image {reference:.100} names no digest; write host/repository@sha256:<digest>"
            );
            return Err(Problem::new(Reason::InvalidSpec, message));
        }
        return Ok(Some(PolicySource::Image {
            reference: reference.clone(),
            pull_secret: policy.and_then(|policy| policy.pull_secret.clone()),
        }));
    }
    if let Some(name) = policy.and_then(|policy| policy.config_map.clone()) {
        return Ok(Some(PolicySource::ConfigMap { name, key }));
    }
    let defaults = defaults();
    match (defaults.as_slice(), policy) {
        ([one], _) => Ok(Some(PolicySource::ConfigMap {
            name: one.clone(),
            key,
        })),
        ([], None) => Ok(None),
        ([], Some(_)) => Err(Problem::new(
            Reason::PolicyMissing,
            "spec.policy names neither config_map nor image, and no ConfigMap of this namespace has the label ecr.mobb.redhat.com/default-policy=true; do one of these",
        )),
        (many, _) => Err(Problem::new(
            Reason::PolicyAmbiguous,
            format!(
                "{} ConfigMaps have the label ecr.mobb.redhat.com/default-policy=true ({}); leave it on one",
                many.len(),
                many.join(", ")
            ),
        )),
    }
}

/// Whether a reference says which content it means.
fn is_pinned(reference: &str) -> bool {
    let Some((name, digest)) = reference.split_once("@sha256:") else {
        return false;
    };
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.contains('/') && digest.len() == 64 && digest.bytes().all(hex)
}

/// The module's file: the named key, else the only one.
///
/// # Errors
/// There is none, or more than one could be meant.
pub fn module_of(
    object: ConfigMap,
    config_map: &str,
    key: Option<&str>,
) -> Result<Vec<u8>, Problem> {
    let mut binary = object.binary_data.unwrap_or_default();
    let text = object.data.unwrap_or_default();
    let missing = |message: String| Err(Problem::new(Reason::PolicyMissing, message));
    let key = match key {
        Some(key) => key.to_owned(),
        None if binary.len() == 1 => binary.keys().next().cloned().unwrap_or_default(),
        None if binary.contains_key("policy.wasm") => "policy.wasm".to_owned(),
        None if binary.is_empty() && text.is_empty() => {
            return missing(format!(
                "ConfigMap {config_map} is empty; put the module under the key policy.wasm of binaryData"
            ));
        }
        None if binary.is_empty() => {
            let message = format!(
                "ConfigMap {config_map} holds text only; a module is binary: create it with kubectl create configmap {config_map} --from-file=policy.wasm"
            );
            return Err(Problem::new(Reason::PolicyNotAComponent, message));
        }
        None => {
            let message = format!(
                "ConfigMap {config_map} has {} keys in binaryData; name one in spec.policy.key",
                binary.len()
            );
            return Err(Problem::new(Reason::PolicyAmbiguous, message));
        }
    };
    match binary.remove(&key) {
        Some(bytes) => Ok(bytes.0),
        None if text.contains_key(&key) => {
            let message = format!(
                "key {key} of ConfigMap {config_map} is text; a module is binary: create it with kubectl create configmap {config_map} --from-file={key}"
            );
            Err(Problem::new(Reason::PolicyNotAComponent, message))
        }
        None => missing(format!(
            "ConfigMap {config_map} has no key {key} in binaryData; correct spec.policy.key or upload the module under it"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn image(reference: &str) -> Result<Option<PolicySource>, Problem> {
        let policy = PolicyRef {
            image: Some(reference.to_owned()),
            ..PolicyRef::default()
        };
        source_of(Some(&policy), Vec::new)
    }

    #[test]
    fn an_image_needs_a_digest_whatever_the_namespace_has() {
        let reference = format!("registry.example/team/policy@sha256:{DIGEST}");
        let source = image(&reference).unwrap().unwrap();
        assert_eq!(source.config_map(), None);
        assert_eq!(source.status(), format!("oci/{reference}"));
        for bad in [
            "registry.example/team/policy:1.0",
            "registry.example/team/policy@sha256:0123",
            &format!("policy@sha256:{DIGEST}"),
            &reference.to_uppercase(),
            "",
        ] {
            assert_eq!(image(bad).unwrap_err().reason, Reason::InvalidSpec, "{bad}");
        }
    }

    #[test]
    fn a_named_map_comes_before_the_default_and_two_defaults_are_too_many() {
        let defaults = |count: usize| (0..count).map(|number| format!("m{number}")).collect();
        let named = PolicyRef {
            config_map: Some("own".to_owned()),
            ..PolicyRef::default()
        };
        let of = |policy, count| source_of(policy, || defaults(count));
        assert_eq!(
            of(Some(&named), 2).unwrap().unwrap().config_map(),
            Some("own")
        );
        assert_eq!(of(None, 1).unwrap().unwrap().to_string(), "ConfigMap m0");
        assert_eq!(of(None, 0), Ok(None));
        let settings_only = PolicyRef::default();
        assert_eq!(
            of(Some(&settings_only), 0).unwrap_err().reason,
            Reason::PolicyMissing
        );
        assert_eq!(of(None, 2).unwrap_err().reason, Reason::PolicyAmbiguous);
    }
}
