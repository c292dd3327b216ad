//! From the bytes in a `ConfigMap` to code: compressed modules, what a restart costs, the administrator's limits.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{MODULE, digest, message, policy_spec};
use crate::support::{SOON, Stage, eventually};

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_module_is_the_module_itself_and_is_pinned_by_the_modules_digest() {
    let (stage, operator) = Stage::with_operator().await;
    let module = Stage::guest("team-prefix");
    stage.upload("plain", MODULE, module.clone()).await;
    stage.upload("small", "policy.wasm.gz", gzip(&module)).await;
    let settings = json!({ "prefix": "web" });
    for map in ["plain", "small"] {
        let policy = json!({ "config_map": map, "sha256": digest(&module), "settings": settings });
        stage.create(map, policy_spec(map, policy)).await;
        let status = stage.ready(map, "Refreshed").await;
        let name = format!("web-{}-{map}", stage.namespace);
        assert_eq!(status.generated_secret_name, Some(name));
        let policy = status.policy.unwrap();
        assert_eq!(policy.digest, Some(digest(&module)));
        assert_eq!(policy.usage.len(), 12, "{policy:?}");
        let fuel = policy
            .usage
            .iter()
            .find(|usage| usage.name == "fuel")
            .unwrap();
        assert!(
            fuel.used.unwrap() > 0 && fuel.limit == 20_000_000,
            "{fuel:?}"
        );
    }
    let metrics = operator.metrics().await.unwrap();
    assert!(
        metrics.contains("ecr_secret_policy_compilation_total{result=\"Compiled\"} 1\n"),
        "the same module is compiled once: {metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_no_policy_is_compiled() {
    let mut stage = Stage::prepare().await;
    stage.keep_compiled_policies();
    let mut operator = stage.start().await;
    stage.upload("p", MODULE, Stage::guest("default")).await;
    stage
        .create("a", policy_spec("a", json!({ "config_map": "p" })))
        .await;
    stage.ready("a", "Refreshed").await;
    let ended = operator.terminate(SOON).await.unwrap();
    assert!(ended.success());

    let operator = stage.start().await;
    eventually(SOON, "the policy is asked again", || async {
        let metrics = operator
            .metrics()
            .await
            .map_err(|error| error.to_string())?;
        if metrics.contains("ecr_secret_policy_evaluation_total{result=\"Decided\"}") {
            assert!(
                !metrics.contains("ecr_secret_policy_compilation_total{"),
                "it was compiled again: {metrics}"
            );
            Ok(())
        } else {
            Err(metrics)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrators_limits_are_those_that_count() {
    let mut stage = Stage::prepare().await;
    let limits = "fuel=10,compile-cpu=3s".to_owned();
    stage
        .setup
        .environment
        .push(("POLICY_LIMITS".to_owned(), limits));
    let _operator = stage.start().await;
    stage.upload("p", MODULE, Stage::guest("default")).await;
    stage
        .create("a", policy_spec("a", json!({ "config_map": "p" })))
        .await;
    let status = stage.ready("a", "PolicyFuelExhausted").await;
    assert!(
        message(&status, "Ready").contains("10 units of fuel"),
        "{status:?}"
    );
}
