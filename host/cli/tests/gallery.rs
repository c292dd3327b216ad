//! The policies of the gallery answer as their cases say, each as it is built for the cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

const GALLERY: [&str; 6] = [
    "team-prefix",
    "label-selected-accounts",
    "business-hours",
    "staggered",
    "environment-suffix",
    "registry-allow-list",
];

fn modules() -> PathBuf {
    std::env::var_os("ECR_GUESTS_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests"),
        PathBuf::from,
    )
}

fn ecr(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-ecr"))
        .args(arguments)
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

#[test]
fn every_policy_of_the_gallery_answers_as_its_cases_say() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-modules");
    for name in GALLERY {
        let cases = sources.join(name).join("cases.yaml");
        for build in ["wasm", "wasip2.wasm"] {
            let module = modules().join(format!("{name}.{build}"));
            let arguments = [
                "policy",
                "test",
                module.to_str().unwrap(),
                cases.to_str().unwrap(),
            ];
            let (good, printed) = ecr(&arguments);
            assert!(good, "{name}.{build}: {printed}");
            assert!(printed.matches("ok ").count() >= 4, "{name}: {printed}");
        }
    }
}

#[test]
fn the_resources_in_the_gallery_name_its_policies_and_give_them_settings_that_they_take() {
    let page = include_str!("../../../docs/gallery.md");
    let mut seen = Vec::new();
    for block in page.split("```yaml\n").skip(1) {
        let yaml = block.split("```").next().unwrap();
        let resource: serde_norway::Value = serde_norway::from_str(yaml).unwrap();
        let policy = &resource["spec"]["policy"];
        let name = policy["config_map"].as_str().unwrap().to_owned();
        let settings = serde_json::to_string(&policy["settings"]).unwrap();
        let module = modules().join(format!("{name}.wasm"));
        let arguments = [
            "policy",
            "check",
            module.to_str().unwrap(),
            "--settings",
            &settings,
        ];
        let (good, printed) = ecr(&arguments);
        assert!(good, "{name}: {printed}");
        seen.push(name);
    }
    assert_eq!(seen, GALLERY);
}

#[test]
fn a_guardrail_narrows_what_another_module_decides() {
    let module = |name: &str| {
        modules()
            .join(format!("{name}.wasm"))
            .to_str()
            .unwrap()
            .to_owned()
    };
    let (tenant, guardrail) = (module("team-prefix"), module("guardrail"));
    let run = |settings: &str| {
        ecr(&[
            "policy",
            "run",
            &tenant,
            "--settings",
            r#"{"prefix":"web"}"#,
            "--guardrail",
            &guardrail,
            "--guardrail-settings",
            settings,
        ])
    };
    let (good, printed) = run(r#"{"name_prefix":"web-"}"#);
    assert!(
        good && printed.contains("web-default-ecr-docker-secret"),
        "{printed}"
    );
    let (good, printed) = run(r#"{"name_prefix":"ops-"}"#);
    assert!(!good && printed.contains("GuardrailDenied"), "{printed}");
    let (good, printed) = run(r#"{"name_prefix":5}"#);
    assert!(
        !good && printed.contains("guardrail") && printed.contains("name_prefix"),
        "{printed}"
    );
    let (good, printed) = run(r#"{"name_prefix":"","widen":true}"#);
    assert!(!good && printed.contains("GuardrailFailed"), "{printed}");
}
