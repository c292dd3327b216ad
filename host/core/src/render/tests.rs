#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
use ecr_policy_model::{Decision, Request};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::api::{ArgoHelmRepoSecret, EcrSecret};
use crate::registry::resolve;
use crate::token::TokenWindow;
use crate::validate::{DecisionLimits, validate_decision};

const REGISTRY: &str = "123456789012.dkr.ecr.us-east-2.amazonaws.com";

fn token() -> Token {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    Token::new(
        "pa55word",
        time("2026-01-31T00:00:00Z"),
        time("2026-01-31T12:00:00Z"),
    )
}

fn secret() -> EcrSecret {
    serde_json::from_value(json!({
        "metadata": { "name": "mine", "namespace": "team", "uid": "u-1" },
        "spec": { "generated_secret_name": "ecr", "ecr_registry": REGISTRY, "frequency": "10h", "region": "us-east-2" },
    }))
    .unwrap()
}

fn argo() -> ArgoHelmRepoSecret {
    serde_json::from_value(json!({
        "metadata": { "name": "mine", "namespace": "argocd", "uid": "u-2" },
        "spec": { "generated_secret_name": "helm", "url": REGISTRY, "frequency": "10h", "region": "us-east-2" },
    }))
    .unwrap()
}

fn valid(decision: &Decision) -> ValidDecision {
    validate_decision(decision, &Request::default(), &DecisionLimits::default()).unwrap()
}

fn named(name: &str) -> ValidDecision {
    valid(&Decision {
        secret_name: name.into(),
        ..Decision::default()
    })
}

fn text(secret: &Secret, key: &str) -> String {
    String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap()
}

#[test]
fn a_docker_config_is_byte_for_byte_the_originals() {
    let resource = secret();
    let rendered = render(
        &resource,
        &resolve(&resource.view()).unwrap(),
        &named("ecr"),
        &token(),
        None,
    );
    assert_eq!(
        rendered.type_.as_deref(),
        Some("kubernetes.io/dockerconfigjson")
    );
    assert_eq!(rendered.data.as_ref().unwrap().len(), 1);
    assert_eq!(
        text(&rendered, ".dockerconfigjson"),
        r#"{"auths":{"123456789012.dkr.ecr.us-east-2.amazonaws.com":{"username":"AWS","password":"pa55word","auth":"QVdTOnBhNTV3b3Jk"}}}"#
    );
}

#[test]
fn the_registry_is_the_key_verbatim_whatever_it_looks_like() {
    for registry in ["https://X.example/Path/", "with \"quotes\" and ü", ""] {
        let data = secret_data(ResourceKind::Secret, registry, "ecr", &token());
        let config: serde_json::Value = serde_json::from_slice(&data[DOCKER_CONFIG_KEY].0).unwrap();
        assert_eq!(
            config["auths"]
                .as_object()
                .unwrap()
                .keys()
                .collect::<Vec<_>>(),
            [registry]
        );
    }
}

#[test]
fn an_argo_repository_has_exactly_the_six_keys() {
    let resource = argo();
    let rendered = render(
        &resource,
        &resolve(&resource.view()).unwrap(),
        &named("helm"),
        &token(),
        None,
    );
    assert_eq!(rendered.type_.as_deref(), Some("Opaque"));
    assert_eq!(
        rendered.metadata.labels.as_ref().unwrap()["argocd.argoproj.io/secret-type"],
        "repository"
    );
    let content: Vec<(&str, String)> = rendered
        .data
        .as_ref()
        .unwrap()
        .keys()
        .map(|key| (key.as_str(), text(&rendered, key)))
        .collect();
    let expected = [
        ("enableOCI", "true"),
        ("name", "helm"),
        ("password", "pa55word"),
        ("type", "helm"),
        ("url", REGISTRY),
        ("username", "AWS"),
    ];
    assert_eq!(
        content,
        expected.map(|(key, value)| (key, value.to_owned()))
    );
    assert_eq!(
        content.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        data_keys(ResourceKind::ArgoHelmRepoSecret)
    );
}

#[test]
fn the_metadata_tells_a_restarted_operator_everything_but_the_token() {
    let resource = secret();
    let decision = valid(&Decision {
        secret_name: "team-ecr".into(),
        labels: vec![("team".into(), "a".into())],
        annotations: vec![("note".into(), "b".into())],
        ..Decision::default()
    });
    let target = resolve(&resource.view()).unwrap();
    let rendered = render(&resource, &target, &decision, &token(), Some("please"));
    let digest = inputs_digest(ResourceKind::Secret, REGISTRY, &target, "team-ecr");
    assert_eq!(
        serde_json::to_value(&rendered.metadata).unwrap(),
        json!({
            "name": "team-ecr",
            "namespace": "team",
            "labels": { "app.kubernetes.io/managed-by": "ecr-secret-operator", "team": "a" },
            "annotations": {
                "note": "b",
                "ecr.mobb.redhat.com/token-issued-at": "2026-01-31T00:00:00Z",
                "ecr.mobb.redhat.com/token-expires-at": "2026-01-31T12:00:00Z",
                "ecr.mobb.redhat.com/inputs": digest,
                "ecr.mobb.redhat.com/decision": r#"{"secretName":"team-ecr","labels":[["team","a"]],"annotations":[["note","b"]],"serviceAccounts":[],"refresh":"hostDefault"}"#,
                "ecr.mobb.redhat.com/refresh-request": "please",
            },
            "ownerReferences": [{ "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "name": "mine", "uid": "u-1", "controller": true }],
        })
    );
    assert_eq!(
        TokenWindow::from_annotations(&rendered.metadata),
        Some(token().window())
    );
    let stored: Decision =
        serde_json::from_str(&rendered.metadata.annotations.unwrap()[DECISION]).unwrap();
    assert_eq!(stored, *decision.get());
}

#[test]
fn the_digest_tells_every_input_apart() {
    let target = |region: Option<&str>, registry: &str| {
        let mut resource = secret();
        resource.spec.region = region.map(str::to_owned);
        resource.spec.ecr_registry = Some(registry.into());
        resolve(&resource.view()).unwrap()
    };
    let here = target(None, REGISTRY);
    let digests = std::collections::BTreeSet::from([
        inputs_digest(ResourceKind::Secret, REGISTRY, &here, "ecr"),
        inputs_digest(ResourceKind::ArgoHelmRepoSecret, REGISTRY, &here, "ecr"),
        inputs_digest(ResourceKind::Secret, "other", &here, "ecr"),
        inputs_digest(
            ResourceKind::Secret,
            REGISTRY,
            &target(Some("eu-west-1"), REGISTRY),
            "ecr",
        ),
        inputs_digest(
            ResourceKind::Secret,
            REGISTRY,
            &target(Some("us-east-1"), REGISTRY),
            "ecr",
        ),
        inputs_digest(
            ResourceKind::Secret,
            REGISTRY,
            &target(None, "public.ecr.aws"),
            "ecr",
        ),
        inputs_digest(ResourceKind::Secret, REGISTRY, &here, "ecr2"),
    ]);
    assert_eq!(digests.len(), 7);
    assert!(digests.iter().all(|digest| digest.len() == 64));
    // The annotation outlives the process: the digest of the same inputs never changes.
    assert_eq!(
        inputs_digest(ResourceKind::Secret, REGISTRY, &here, "ecr"),
        "2f214133612be8bc46f273c53aaa59bdbb0dd850654df317381ad4cf0996f757"
    );
}

#[test]
fn a_resource_that_was_never_stored_owns_nothing() {
    assert_eq!(owner_reference(&EcrSecret::default()), None);
}
