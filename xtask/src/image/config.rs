//! How the image is run, and what it says of itself. The `Containerfile` says the same.

use super::platform::Platform;
use crate::bundle;
use ecr_secret_core::api::OPERATOR_NAME;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Neither root nor of its group. `OpenShift` gives any other id, so nothing in the image depends on this one.
pub(super) const USER: &str = "65532:65532";
/// The operator; there is no shell.
pub(super) const ENTRYPOINT: &str = "/ecr-secret-operator";
/// Where `kubectl exec … -- ecr-secret-operator doctor` finds the operator.
pub(super) const PATH: &str = "PATH=/";
/// Health and metrics, as in the Deployment.
pub(super) const PORTS: [&str; 2] = ["8081/tcp", "8443/tcp"];
const REPOSITORY: &str = "https://github.com/rh-mobb/ecr-secret-operator";
const SUMMARY: &str =
    "Keeps Amazon ECR credentials fresh in Secrets, and links them to service accounts.";
const DESCRIPTION: &str = "A Kubernetes and OpenShift operator that fetches Amazon ECR tokens, writes them into Secrets, \
    links these to service accounts and renews them before they expire. Tenants may program it with WebAssembly policies.";
const REVISION: &str = "org.opencontainers.image.revision";

/// Labels by their names.
pub(super) type Labels = BTreeMap<&'static str, String>;

/// What certification by Red Hat asks for, what `OpenShift` shows, and the same in the terms of the OCI.
pub(super) fn labels(revision: Option<&str>) -> Labels {
    let mut labels = Labels::from(
        [
            ("name", OPERATOR_NAME),
            ("vendor", "Red Hat MOBB"),
            ("version", bundle::VERSION),
            ("release", "1"),
            ("summary", SUMMARY),
            ("description", DESCRIPTION),
            ("maintainer", "Red Hat MOBB <mobb@redhat.com>"),
            ("url", REPOSITORY),
            ("io.k8s.display-name", "ECR Secret Operator"),
            ("io.k8s.description", DESCRIPTION),
            ("io.openshift.tags", "aws,ecr,registry,credentials,operator"),
            ("org.opencontainers.image.title", OPERATOR_NAME),
            ("org.opencontainers.image.description", SUMMARY),
            ("org.opencontainers.image.version", bundle::VERSION),
            ("org.opencontainers.image.vendor", "Red Hat MOBB"),
            (
                "org.opencontainers.image.authors",
                "Red Hat MOBB <mobb@redhat.com>",
            ),
            ("org.opencontainers.image.licenses", "Apache-2.0"),
            ("org.opencontainers.image.url", REPOSITORY),
            ("org.opencontainers.image.source", REPOSITORY),
            (
                "org.opencontainers.image.documentation",
                "https://github.com/rh-mobb/ecr-secret-operator/tree/main/docs",
            ),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    if let Some(revision) = revision {
        labels.insert(REVISION, revision.to_owned());
    }
    labels
}

/// Those of the labels that are also annotations of the manifests, where registries read them.
pub(super) fn annotations(labels: &Labels, created: &str) -> BTreeMap<String, String> {
    let mut annotations: BTreeMap<_, _> = labels
        .iter()
        .filter(|(name, _)| name.starts_with("org.opencontainers.image."))
        .map(|(&name, value)| (name.to_owned(), value.clone()))
        .collect();
    annotations.insert(
        "org.opencontainers.image.created".to_owned(),
        created.to_owned(),
    );
    annotations
}

/// The image's configuration by the OCI.
pub(super) fn config(platform: Platform, labels: &Labels, diff_id: &str, created: &str) -> Value {
    let ports: BTreeMap<_, _> = PORTS.into_iter().map(|port| (port, json!({}))).collect();
    json!({
        "created": created,
        "architecture": platform.architecture(),
        "os": "linux",
        "config": {
            "User": USER,
            "ExposedPorts": ports,
            "Env": [PATH],
            "Entrypoint": [ENTRYPOINT],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": created, "created_by": "cargo xtask image" }],
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn certification_finds_every_label_that_it_wants() {
        let labels = labels(Some("0123abc"));
        for name in [
            "name",
            "vendor",
            "version",
            "release",
            "summary",
            "description",
            "maintainer",
        ] {
            assert!(!labels[name].is_empty(), "{name}");
        }
        assert_eq!(labels[REVISION], "0123abc");
        assert_eq!(labels["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_image_runs_the_operator_as_nobody_in_particular_without_a_shell() {
        let config = config(
            Platform::Arm64,
            &labels(None),
            "sha256:0",
            "1970-01-01T00:00:00Z",
        );
        assert_eq!(config["architecture"], "arm64");
        let config = &config["config"];
        // runAsNonRoot needs a number.
        let (user, group) = USER.split_once(':').unwrap();
        assert!(
            [user, group]
                .map(str::parse::<u32>)
                .iter()
                .all(|id| *id != Ok(0) && id.is_ok())
        );
        assert_eq!(config["User"], USER);
        assert_eq!(config["Entrypoint"], json!([ENTRYPOINT]));
        assert_eq!(config["Cmd"], Value::Null);
        assert_eq!(config["Env"], json!(["PATH=/"]), "doctor is found by name");
    }

    #[test]
    fn annotations_are_the_terms_of_the_oci_alone() {
        let annotations = annotations(&labels(None), "1970-01-01T00:00:00Z");
        assert!(
            annotations
                .keys()
                .all(|name| name.starts_with("org.opencontainers.image."))
        );
        assert_eq!(
            annotations["org.opencontainers.image.created"],
            "1970-01-01T00:00:00Z"
        );
    }
}
