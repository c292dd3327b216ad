//! Modules that are missing, damaged, of the wrong kind or not the ones that were pinned.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::compiled::gzip;
use super::{MODULE, digest, message, policy_spec};
use crate::support::{Stage, spec, state};

/// What is done to the `ConfigMap`, and the reason that it gives.
fn broken_modules() -> Vec<(&'static str, Value, &'static str)> {
    let encode = |bytes: &[u8]| STANDARD.encode(bytes);
    let binary = |bytes: &[u8]| json!({ "binaryData": { MODULE: encode(bytes) } });
    let good = Stage::guest("default");
    let damaged: Vec<u8> = good
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if at > 200 && at % 97 == 0 {
                !byte
            } else {
                *byte
            }
        })
        .collect();
    let text = "(component)";
    vec![
        (
            "garbage",
            binary(&[0xde, 0xad, 0xbe, 0xef].repeat(1000)),
            "PolicyNotAComponent",
        ),
        ("no byte at all", binary(&[]), "PolicyNotAComponent"),
        (
            "a core module",
            binary(b"\0asm\x01\0\0\0"),
            "PolicyNotAComponent",
        ),
        (
            "a truncated component",
            binary(&good[..good.len() / 2]),
            "PolicyCompileFailed",
        ),
        (
            "a damaged component",
            binary(&damaged),
            "PolicyCompileFailed",
        ),
        (
            "a component of another interface",
            binary(&Stage::guest("wrong-interface")),
            "PolicyInterfaceMismatch",
        ),
        (
            "a component of another interface for WASI",
            binary(&Stage::guest("wrong-interface.wasip2")),
            "PolicyInterfaceMismatch",
        ),
        (
            "text in place of a module",
            json!({ "data": { MODULE: text } }),
            "PolicyNotAComponent",
        ),
        (
            "text under another key",
            json!({ "data": { "README": text } }),
            "PolicyNotAComponent",
        ),
        (
            "an archive that ends too early",
            binary(&gzip(&good)[..good.len() / 4]),
            "PolicyNotAComponent",
        ),
        (
            "a bomb",
            binary(&gzip(&vec![0; 64 << 20])),
            "PolicyNotAComponent",
        ),
        (
            "a module that unpacks to more than it may have",
            binary(&gzip(&[noise(200 << 10), vec![0; 5 << 20]].concat())),
            "PolicyTooLarge",
        ),
        ("nothing", json!({}), "PolicyMissing"),
        (
            "two modules",
            json!({ "binaryData": { "a.wasm": encode(&good), "b.wasm": encode(&good) } }),
            "PolicyAmbiguous",
        ),
    ]
}

/// Bytes that do not shrink.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_module_leaves_the_last_good_version_in_force_and_a_good_one_ends_it_without_a_restart()
 {
    let (stage, _operator) = Stage::with_operator().await;
    stage
        .upload("policy", MODULE, Stage::guest("default"))
        .await;
    stage
        .create("a", policy_spec("a", json!({ "config_map": "policy" })))
        .await;
    stage.create("healthy", spec("healthy")).await;
    stage.ready("a", "Refreshed").await;
    stage.ready("healthy", "Refreshed").await;
    let before = stage.secret("a").await;
    for (number, (what, content, reason)) in broken_modules().into_iter().enumerate() {
        let mut object =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "policy" } });
        object
            .as_object_mut()
            .unwrap()
            .extend(content.as_object().unwrap().clone());
        stage
            .config_maps()
            .patch(
                "policy",
                &PatchParams::apply("test").force(),
                &Patch::Apply(object),
            )
            .await
            .unwrap();
        let status = stage.ready("a", reason).await;
        let told = message(&status, "Ready");
        assert!(
            told.contains("ConfigMap policy")
                && told.contains("Secret a stays valid until")
                && !told.contains('\n'),
            "{what}: {told}"
        );
        assert_eq!(state(&stage.secret("a").await), state(&before), "{what}");
        let policy = status.policy.clone().unwrap();
        assert_eq!(policy.source, "configmap/policy", "{what}");
        // Only who takes the policy away has none.
        let serving = (reason != "PolicyMissing").then(|| digest(&Stage::guest("default")));
        assert_eq!(policy.digest, serving, "{what}");

        // A new resource gets what the version that goes on decides, and is told all the same.
        let fresh = format!("fresh-{number}");
        stage
            .create(
                &fresh,
                policy_spec(&fresh, json!({ "config_map": "policy" })),
            )
            .await;
        let status = stage.ready(&fresh, reason).await;
        let served = serving.is_some();
        assert_eq!(status.generated_secret_name.is_some(), served, "{what}");
        let secret = stage.secrets().get_opt(&fresh).await.unwrap();
        assert_eq!(secret.is_some(), served, "{what}");

        stage
            .upload("policy", MODULE, Stage::guest("default"))
            .await;
        stage.ready("a", "Refreshed").await;
        stage.ready(&fresh, "Refreshed").await;
        assert_eq!(state(&stage.secret("a").await), state(&before), "{what}");
    }
    Stage::old_enough_for_a_refresh(&stage.secret("healthy").await).await;
    stage.request_refresh("healthy", "now").await;
    stage
        .status("healthy", "the request is obeyed", |status| {
            status.handled_refresh_request.as_deref() == Some("now")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_a_key_and_a_missing_config_map_are_obeyed() {
    let (stage, _operator) = Stage::with_operator().await;
    stage
        .upload("policy", MODULE, Stage::guest("default"))
        .await;
    let (good, other) = (
        digest(&Stage::guest("default")),
        digest(&Stage::guest("early-refresh")),
    );
    stage
        .create(
            "a",
            policy_spec("a", json!({ "config_map": "policy", "sha256": good })),
        )
        .await;
    stage.ready("a", "Refreshed").await;
    let before = stage.secret("a").await;
    let policy = |field: &str, value: Value| json!({ "spec": { "policy": { field: value } } });
    let status = stage
        .change_to("a", policy("sha256", json!(other)), "PolicyDigestMismatch")
        .await;
    assert!(
        message(&status, "Ready").contains(&good) && message(&status, "Ready").contains(&other),
        "{}",
        message(&status, "Ready")
    );
    // The pinned module arrives.
    stage
        .upload("policy", MODULE, Stage::guest("early-refresh"))
        .await;
    stage.ready("a", "Refreshed").await;
    stage
        .change_to("a", policy("sha256", json!(null)), "Refreshed")
        .await;

    let status = stage
        .change_to("a", policy("key", json!("other.wasm")), "PolicyMissing")
        .await;
    assert!(message(&status, "Ready").contains("no key other.wasm"));
    stage
        .change_to("a", policy("key", json!(MODULE)), "Refreshed")
        .await;
    let status = stage
        .change_to("a", policy("config_map", json!("nowhere")), "PolicyMissing")
        .await;
    assert!(message(&status, "Ready").contains("ConfigMap nowhere does not exist"));
    assert_eq!(
        status.policy.as_ref().map(|policy| policy.source.as_str()),
        Some("configmap/nowhere")
    );
    assert_eq!(state(&stage.secret("a").await), state(&before));
    stage
        .upload("nowhere", MODULE, Stage::guest("default"))
        .await;
    stage.ready("a", "Refreshed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_module_that_a_config_map_holds_works_and_the_api_server_refuses_a_larger_one()
{
    let (stage, _operator) = Stage::with_operator().await;
    let padded = |size: usize| {
        let mut module = Stage::guest("default");
        // A custom section: its id, its size as a LEB128 of five bytes, a name of no bytes.
        let content = size - module.len() - 6;
        module.push(0);
        let mut rest = content;
        for byte in 0..5 {
            module.push(u8::try_from(rest & 0x7f).unwrap() | if byte < 4 { 0x80 } else { 0 });
            rest >>= 7;
        }
        module.resize(size, 0);
        module
    };
    stage.upload("policy", MODULE, padded(1 << 20)).await;
    stage
        .create("a", policy_spec("a", json!({ "config_map": "policy" })))
        .await;
    let status = stage.ready("a", "Refreshed").await;
    assert_eq!(
        status.policy.unwrap().digest.unwrap(),
        digest(&padded(1 << 20))
    );
    let before = stage.secret("a").await;

    let larger = json!({ "binaryData": { MODULE: STANDARD.encode(padded((1 << 20) + 1)) } });
    let refused = stage
        .config_maps()
        .patch("policy", &PatchParams::default(), &Patch::Merge(larger))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("Too long"), "{refused}");
    assert_eq!(state(&stage.secret("a").await), state(&before));
    stage.ready("a", "Refreshed").await;
}
