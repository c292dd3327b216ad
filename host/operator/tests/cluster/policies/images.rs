//! A policy from a registry: found by its digest, opened with what there is, and from nowhere that the administrator does
//! not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::ECR_USER;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use serde_json::json;
use test_cluster::Registry;

use super::{digest, message, policy_spec};
use crate::outside::Outside;
use crate::support::{REGISTRY, Stage, password, spec};

/// Pushes layers, and tells the reference with the digest. By hand, because the registry answers some requests without the
/// `Location` that the library waits for.
fn push(registry: &Registry, credentials: Option<&str>, layers: &[Vec<u8>]) -> String {
    let config = b"{}".to_vec();
    for blob in layers.iter().chain([&config]) {
        let path = format!(
            "/v2/team/policy/blobs/uploads/?digest=sha256:{}",
            digest(blob)
        );
        send(
            registry,
            credentials,
            "POST",
            &path,
            "application/octet-stream",
            blob,
        );
    }
    let descriptor = |blob: &Vec<u8>, media_type: &str| json!({ "mediaType": media_type, "digest": format!("sha256:{}", digest(blob)), "size": blob.len() });
    let layers = layers
        .iter()
        .map(|layer| descriptor(layer, "application/wasm"));
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type, "layers": layers.collect::<Vec<_>>(),
        "config": descriptor(&config, "application/vnd.wasm.config.v0+json"),
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = digest(&manifest);
    let path = format!("/v2/team/policy/manifests/sha256:{digest}");
    send(registry, credentials, "PUT", &path, media_type, &manifest);
    format!("{}/team/policy@sha256:{digest}", registry.address())
}

fn send(
    registry: &Registry,
    credentials: Option<&str>,
    method: &str,
    path: &str,
    media_type: &str,
    body: &[u8],
) {
    let authorization = credentials.map_or_else(String::new, |pair| {
        format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
    });
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n{authorization}\r\n",
        registry.address(),
        body.len()
    );
    let mut stream = TcpStream::connect(registry.address()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 201"),
        "{method} {path}: {answer}"
    );
}

async fn pull_secret(stage: &Stage, name: &str, config: &str) {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
        data: Some(BTreeMap::from([(
            ".dockerconfigjson".to_owned(),
            ByteString(config.into()),
        )])),
        ..Secret::default()
    };
    stage
        .secrets()
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_pulled_by_its_digest_with_a_pull_secret_and_once() {
    let registry = Registry::start(Some(("team", "s3cret"))).unwrap();
    let image = push(
        &registry,
        Some("team:s3cret"),
        &[Stage::guest("team-prefix")],
    );
    let host = registry.address().to_owned();
    let mut stage = Stage::prepare().await;
    stage.keep_compiled_policies();
    stage
        .setup
        .environment
        .push(("POLICY_REGISTRIES".to_owned(), format!("http://{host}")));
    let operator = stage.start().await;
    let settings = json!({ "prefix": "web" });

    // Without credentials, then with wrong ones, then with the right ones.
    stage
        .create(
            "open",
            policy_spec("open", json!({ "image": image, "settings": settings })),
        )
        .await;
    let status = stage.ready("open", "PolicyPullFailed").await;
    let told = message(&status, "Ready");
    assert!(
        told.contains("wants other credentials") && told.contains("pull_secret"),
        "{told}"
    );
    assert_eq!(status.policy.unwrap().source, format!("oci/{image}"));
    pull_secret(
        &stage,
        "elsewhere",
        r#"{"auths":{"ghcr.io":{"username":"team","password":"s3cret"}}}"#,
    )
    .await;
    stage
        .create(
            "wrong",
            policy_spec(
                "wrong",
                json!({ "image": image, "pull_secret": "elsewhere" }),
            ),
        )
        .await;
    let told = stage.ready("wrong", "PolicyPullFailed").await;
    assert!(
        message(&told, "Ready").contains("no user and password for"),
        "{told:?}"
    );
    stage
        .create(
            "none",
            policy_spec("none", json!({ "image": image, "pull_secret": "gone" })),
        )
        .await;
    let told = stage.ready("none", "PolicyPullFailed").await;
    assert!(
        message(&told, "Ready").contains("Secret gone does not exist"),
        "{told:?}"
    );
    pull_secret(
        &stage,
        "puller",
        &format!(r#"{{"auths":{{"{host}":{{"username":"team","password":"s3cret"}}}}}}"#),
    )
    .await;
    let policy = json!({ "image": image, "pull_secret": "puller", "settings": settings });
    stage
        .create("good", policy_spec("good", policy.clone()))
        .await;
    stage.ready("good", "Refreshed").await;
    let name = format!("web-{}-good", stage.namespace);
    stage.secret(&name).await;

    // It is fetched once: another resource, and a restarted operator, need no registry for the module.
    drop(registry);
    stage.create("second", policy_spec("second", policy)).await;
    stage.ready("second", "Refreshed").await;
    drop(operator);
    let _operator = stage.start().await;
    stage
        .change("good", json!({ "spec": { "frequency": "9h" } }))
        .await;
    let status = stage.ready("good", "PolicyPullFailed").await;
    assert!(
        message(&status, "Ready").contains("stays valid until"),
        "{status:?}"
    );
    stage.secret(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_in_ecr_is_pulled_with_the_operators_own_token_through_the_administrators_proxy() {
    let mut stage = Stage::prepare().await;
    let outside = Outside::start().await;
    stage.setup.environment.extend(outside.proxy());
    stage.setup.environment.push(outside.trust());
    let _operator = stage.start().await;
    stage.create("token", spec("token")).await;
    stage.ready("token", "Refreshed").await;
    let password = password(&stage.secret("token").await);

    // ECR takes the token that the operator has, and nothing else.
    let registry = Registry::start(Some((ECR_USER, &password))).unwrap();
    outside.add(REGISTRY, registry.address().parse().unwrap());
    let credentials = format!("{ECR_USER}:{password}");
    let module = Stage::guest("team-prefix");
    let pushed = push(&registry, Some(&credentials), &[module]);
    let image = pushed.replace(registry.address(), REGISTRY);
    let policy = json!({ "image": image, "settings": { "prefix": "web" } });
    stage.create("named", policy_spec("named", policy)).await;
    stage.ready("named", "Refreshed").await;
    let name = format!("web-{}-named", stage.namespace);
    stage.secret(&name).await;
    assert_eq!(outside.asked(), BTreeSet::from([REGISTRY.to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_module_or_not_allowed_is_told_and_nobody_is_asked() {
    let registry = Registry::start(None).unwrap();
    let two = push(&registry, None, &[Stage::guest("default"), b"x".to_vec()]);
    let text = push(&registry, None, &[b"no module".to_vec()]);
    let large = push(&registry, None, &[vec![0; 5 << 20]]);
    let mut stage = Stage::prepare().await;
    let host = registry.address();
    stage
        .setup
        .environment
        .push(("POLICY_REGISTRIES".to_owned(), format!("http://{host}")));
    let _operator = stage.start().await;
    let gone = format!("{host}/team/policy@sha256:{}", "0".repeat(64));
    let digest = two.rsplit('@').next().unwrap();
    let cases = [
        ("two", two.as_str(), "PolicyPullFailed", "has 2 layers"),
        ("text", text.as_str(), "PolicyNotAComponent", "image"),
        ("large", large.as_str(), "PolicyTooLarge", "5242880 bytes"),
        ("gone", gone.as_str(), "PolicyPullFailed", "no such image"),
        (
            "metadata",
            &format!("169.254.169.254/team/policy@{digest}"),
            "PolicyPullFailed",
            "does not allow the registry 169.254.169.254",
        ),
        (
            "other",
            &format!("localhost:1/team/policy@{digest}"),
            "PolicyPullFailed",
            "does not allow the registry localhost:1",
        ),
    ];
    for (name, image, reason, part) in cases {
        stage
            .create(name, policy_spec(name, json!({ "image": image })))
            .await;
        let status = stage.ready(name, reason).await;
        let told = message(&status, "Ready");
        assert!(told.contains(part), "{name}: {told}");
    }
    // The API server takes no image without a digest, nor beside a ConfigMap.
    for policy in [
        json!({ "image": "ghcr.io/a/b:1" }),
        json!({ "image": two, "config_map": "x" }),
        json!({ "pull_secret": "x" }),
    ] {
        let object = json!({ "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "metadata": { "name": "bad" }, "spec": policy_spec("bad", policy.clone()) });
        let created = stage
            .resources()
            .create(
                &PostParams::default(),
                &serde_json::from_value(object).unwrap(),
            )
            .await;
        assert!(created.is_err(), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a module in ECR_LANGUAGE_MODULE; cargo xtask languages makes one and runs this"]
async fn a_policy_in_another_language_decides_from_a_registry() {
    let module =
        std::env::var_os("ECR_LANGUAGE_MODULE").expect("ECR_LANGUAGE_MODULE names a module");
    let module = std::fs::read(module).unwrap();
    assert!(module.len() > 1 << 20, "it would fit into a ConfigMap");
    let registry = Registry::start(None).unwrap();
    let image = push(&registry, None, &[module]);
    let mut stage = Stage::prepare().await;
    let registries = format!("http://{}", registry.address());
    let variables = [
        ("POLICY_REGISTRIES", registries.as_str()),
        ("POLICY_LIMITS", "compile-cpu=60s"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    stage.setup.environment.extend(variables);
    let _operator = stage.start().await;
    let policy = json!({ "image": image, "settings": { "prefix": "web" } });
    stage.create("a", policy_spec("ecr", policy)).await;
    stage
        .ready_within(Duration::from_mins(2), "a", "Refreshed")
        .await;
    stage.secret(&format!("web-{}-ecr", stage.namespace)).await;
}
