//! From nothing to a tested policy, with the tool alone; and whatever goes wrong is one line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Runs the tool in a directory: its exit code, what it printed, what it complained of.
fn ecr(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-ecr"))
        .args(arguments)
        .current_dir(directory)
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn good(directory: &Path, arguments: &[&str]) -> String {
    let (code, printed, complaint) = ecr(directory, arguments);
    assert_eq!(code, 0, "{arguments:?}: {printed}{complaint}");
    assert!(
        !printed.contains('\u{1b}'),
        "no colours in a pipe: {printed}"
    );
    printed
}

/// The one line of a failure.
fn fails(directory: &Path, arguments: &[&str], code: i32) -> String {
    let (found, printed, complaint) = ecr(directory, arguments);
    assert_eq!(found, code, "{arguments:?}: {printed}{complaint}");
    let last = complaint.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("error: "), "{arguments:?}: {complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
    last
}

fn guest(name: &str) -> String {
    let directory = std::env::var_os("ECR_GUESTS_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests")),
        PathBuf::from,
    );
    let path = directory.join(format!("{name}.wasm"));
    assert!(path.is_file(), "run cargo xtask guests");
    path.to_str().unwrap().to_owned()
}

/// The commands of a document, in order.
fn commands(document: &str) -> Vec<String> {
    let blocks = document.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    lines
        .filter_map(|line| line.strip_prefix("$ "))
        .map(str::to_owned)
        .collect()
}

/// Follows `docs/write-a-policy.md`. The one difference: the SDK comes from this repository.
#[test]
fn the_tutorial_leads_from_nothing_to_a_tested_policy() {
    let place = tempfile::tempdir().unwrap();
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-modules/sdk");
    let mut directory = place.path().to_owned();
    let commands = commands(include_str!("../../../docs/write-a-policy.md"));
    assert!(commands.len() >= 9, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command
            .split(' ')
            .map(|word| word.trim_matches('\''))
            .collect();
        match words.as_slice() {
            ["cd", name] => directory = directory.join(name),
            ["cargo", "test"] => {
                // The versions that the SDK was tested with, so that nothing is looked up.
                let lock = concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/../../guest-modules/Cargo.lock"
                );
                fs::copy(lock, directory.join("Cargo.lock")).unwrap();
                let cargo = Command::new(env!("CARGO"))
                    .args(["test", "--quiet"])
                    .current_dir(&directory)
                    .output()
                    .unwrap();
                let printed = String::from_utf8_lossy(&cargo.stdout).into_owned();
                assert!(
                    cargo.status.success() && printed.contains("1 passed"),
                    "{printed}"
                );
            }
            ["kubectl", "ecr", "policy", "new", name] => {
                let next = good(&directory, &["policy", "new", name, "--sdk", sdk]);
                assert!(next.contains("kubectl ecr policy build"), "{next}");
            }
            ["kubectl", "ecr", arguments @ ..] => {
                let printed = good(&directory, arguments);
                let expected = match arguments[1] {
                    "build" => "by-team.wasm",
                    "test" => "2 passed, 0 failed",
                    "check" => "the operator takes this module",
                    "run" => "web-ecr-docker-secret",
                    "inspect" => "The team that the Secret is for.",
                    "bench" => "p99",
                    other => panic!("nothing is expected of {other}"),
                };
                assert!(printed.contains(expected), "{command}: {printed}");
            }
            _ => panic!("who runs {command}?"),
        }
    }
    let size = fs::metadata(directory.join("by-team.wasm")).unwrap().len();
    assert!(size < 20_000, "the template has {size} bytes");
    fails(place.path(), &["policy", "new", "by-team"], 2);
}

#[test]
fn a_module_is_checked_as_the_operator_would() {
    let place = tempfile::tempdir().unwrap();
    let here = place.path();
    let module = guest("early-refresh");
    let settings = r#"{"before_expiry_percent": 40}"#;
    let checked = good(here, &["policy", "check", &module, "--settings", settings]);
    for part in [
        "compile-memory",
        "of 256 MiB",
        "accepted",
        "takes this module",
    ] {
        assert!(checked.contains(part), "{checked}");
    }
    let wrong = r#"{"before_expiry_percent": 99}"#;
    let told = fails(here, &["policy", "check", &module, "--settings", wrong], 1);
    assert!(
        told.contains("PolicyInvalidSettings") && told.contains("must be 1 to 90"),
        "{told}"
    );
    let told = fails(
        here,
        &["policy", "check", &module, "--limits", "module=1Ki"],
        1,
    );
    assert!(told.contains("PolicyTooLarge"), "{told}");
    let told = fails(here, &["policy", "check", &guest("wrong-interface")], 1);
    assert!(told.contains("PolicyInterfaceMismatch"), "{told}");
    fs::write(here.join("text.wasm"), "(component)").unwrap();
    let told = fails(here, &["policy", "check", "text.wasm"], 1);
    assert!(
        told.contains("PolicyNotAComponent") && told.contains("wasm-tools parse"),
        "{told}"
    );
}

#[test]
fn a_request_gets_the_answer_and_the_fuel_that_it_gets_in_the_cluster() {
    let place = tempfile::tempdir().unwrap();
    let request = "resource: { name: web, namespace: shop, generatedSecretName: null }\nsettings: { prefix: team-a }\n";
    fs::write(place.path().join("request.yaml"), request).unwrap();
    let module = guest("team-prefix");
    let run = [
        "policy",
        "run",
        &module,
        "--request",
        "request.yaml",
        "-o",
        "json",
    ];
    let first: Value = serde_json::from_str(&good(place.path(), &run)).unwrap();
    let second: Value = serde_json::from_str(&good(place.path(), &run)).unwrap();
    let decision = &first["answer"]["decision"];
    assert_eq!(decision["secretName"], "team-a-shop-web");
    assert_eq!(decision["labels"]["team"], "team-a");
    let fuel = &first["usage"]["fuel"]["used"];
    assert!(fuel.as_u64().unwrap() > 0);
    assert_eq!(fuel, &second["usage"]["fuel"]["used"]);
    let text = good(
        place.path(),
        &["policy", "run", &module, "--request", "request.yaml"],
    );
    assert!(
        text.contains("fuel") && text.contains("of 20000000"),
        "{text}"
    );
    let told = fails(
        place.path(),
        &["policy", "run", &module, "--settings", "{}"],
        1,
    );
    assert!(
        told.contains("PolicyInvalidSettings: ") && told.contains("prefix"),
        "{told}"
    );
    let hostile = guest("hostile");
    let told = fails(
        place.path(),
        &["policy", "run", &hostile, "--settings", r#"{"do": "loop"}"#],
        1,
    );
    assert!(told.contains("PolicyFuelExhausted"), "{told}");
}

#[test]
fn cases_that_fail_show_the_difference_and_give_exit_code_1() {
    let place = tempfile::tempdir().unwrap();
    let cases = "cases:
  - { name: right, request: { settings: { prefix: a } }, expect: { decision: { labels: { team: a } } } }
  - { name: another label, request: { settings: { prefix: a } }, expect: { decision: { labels: { team: b } } } }
  - { name: no decision, request: { settings: { prefix: A } }, expect: { decision: {} } }
  - { name: another reason, request: {}, expect: { reason: PolicyDenied, message: nothing } }
  - { name: a decision after all, request: { settings: { prefix: a } }, expect: { reason: PolicyDenied } }
";
    fs::write(place.path().join("cases.yaml"), cases).unwrap();
    let module = guest("team-prefix");
    let (code, printed, _) = ecr(place.path(), &["policy", "test", &module, "cases.yaml"]);
    assert_eq!(code, 1, "{printed}");
    for part in [
        "1 passed, 4 failed",
        r#"labels.team: expected "b", is "a""#,
        "expected a decision, got PolicyInvalidSettings",
        "expected PolicyDenied, got PolicyInvalidSettings",
        r#"message: expected "nothing" in it"#,
        "expected PolicyDenied, got the decision",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    for (text, part) in [
        ("cases: []", "holds no case"),
        ("case: []", "holds no cases"),
        (
            "cases: [{ name: x, expect: {} }]",
            "either a decision or a reason",
        ),
        (
            "cases: [{ name: x, request: { now: never }, expect: { reason: y } }]",
            "no request",
        ),
    ] {
        fs::write(place.path().join("bad.yaml"), text).unwrap();
        let told = fails(place.path(), &["policy", "test", &module, "bad.yaml"], 2);
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn an_evaluation_is_measured() {
    let place = tempfile::tempdir().unwrap();
    let measured = good(
        place.path(),
        &["policy", "bench", &guest("default"), "--runs", "50"],
    );
    for part in ["runs        50", "fuel", "p50", "p99", "memory", "compile"] {
        assert!(measured.contains(part), "{measured}");
    }
}

#[test]
fn what_cannot_be_done_is_one_line_and_exit_code_2() {
    let place = tempfile::tempdir().unwrap();
    let module = guest("default");
    let cases: [(&[&str], &str); 8] = [
        (&["policy", "check", "missing.wasm"], "missing.wasm"),
        (&["policy", "check", &module, "--limits", "fule=1"], "fule"),
        (
            &["policy", "run", &module, "-r", "missing.yaml"],
            "missing.yaml",
        ),
        (&["policy", "build", "."], "holds no crate"),
        (&["policy", "new", "Not A Name"], "no name for a policy"),
        (&["policy", "new", "x", "--sdk", "/nonexistent"], "no SDK"),
        (&["policy", "push", &module], "KUBECONFIG"),
        (&["status"], "KUBECONFIG"),
    ];
    for (arguments, part) in cases {
        let told = fails(place.path(), arguments, 2);
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
    let (code, _, _) = ecr(place.path(), &["policy", "frobnicate"]);
    assert_eq!(code, 2);
}

#[test]
fn completion_scripts_are_printed() {
    let place = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = good(place.path(), &["completion", shell]);
        assert!(
            script.contains("kubectl-ecr") && script.contains("policy"),
            "{shell}"
        );
    }
}
