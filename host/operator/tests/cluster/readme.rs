//! The README, followed literally by somebody who has a cluster; and every sample.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_double::AwsDouble;
use ecr_secret_core::manifests::{DEFAULT_NAMESPACE, WORKLOAD_NAME};
use test_cluster::{ControlPlane, Options};
use test_stage::{Operator, Setup};

use crate::support::Stage;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// The commands of the README in their order.
fn commands() -> Vec<String> {
    let blocks = blocks(&readme(), "console");
    let lines = blocks.iter().flat_map(|block| block.lines());
    lines
        .map(|line| line.strip_prefix("$ ").expect("a prompt").to_owned())
        .collect()
}

/// Runs a command as a reader would: in the repository's root, with kubectl at hand.
fn run(command: &str, path: &str, kubeconfig: &Path) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", command])
        .current_dir(root())
        .env("PATH", path)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_works_in_its_order() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let tools = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(plane.kubectl().get_program(), tools.path().join("kubectl"))
        .unwrap();
    let path = format!(
        "{}:{}",
        tools.path().display(),
        std::env::var("PATH").unwrap()
    );
    let aws = AwsDouble::start().await;
    let mut operator: Option<Operator> = None;
    // The module that the README uploads is where `cargo xtask guests` puts it.
    let module = root().join("target/guests/team-prefix.wasm");
    let guest = Stage::guest("team-prefix");
    if fs::read(&module).ok().as_ref() != Some(&guest) {
        fs::create_dir_all(module.parent().unwrap()).unwrap();
        fs::write(&module, guest).unwrap();
    }

    let mut ran = 0;
    for command in commands() {
        // The two commands are what runs this test, and what CI runs beside it; the guests are built before it.
        if command.starts_with("cargo xtask ") {
            continue;
        }
        let output = run(&command, &path, plane.kubeconfig_path());
        ran += 1;
        if command.contains("status.generatedSecretName") {
            assert_eq!(
                output, "team-a-test-ecr-secret-operator-with-policy",
                "the policy names the Secret"
            );
        }
        if command.contains("install.yaml") {
            // There is no node here, so the Deployment's pod is a process, with the rights of its account.
            let setup = Setup {
                binary: PathBuf::from(env!("CARGO_BIN_EXE_ecr-secret-operator")),
                kubeconfig: plane
                    .service_account_kubeconfig(DEFAULT_NAMESPACE, WORKLOAD_NAME)
                    .await
                    .unwrap(),
                watch_namespace: String::new(),
                namespace: DEFAULT_NAMESPACE.to_owned(),
                leader_elect: true,
                environment: aws
                    .environment()
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
                log: tools.path().join("operator.log"),
            };
            let mut started = Operator::start(&setup).unwrap();
            started.wait_until_ready().await.unwrap();
            operator = Some(started);
        }
    }
    assert!(ran > 15, "only {ran} commands were found");
    assert!(operator.is_some(), "the README installs the operator");
    let linked = run(
        "kubectl -n test-ecr-secret-operator get serviceaccount default -o jsonpath='{.imagePullSecrets[*].name}'",
        &path,
        plane.kubeconfig_path(),
    );
    assert_eq!(linked, "ecr-linked");

    for manifest in blocks(&readme(), "yaml") {
        let file = tools.path().join("manifest.yaml");
        fs::write(&file, manifest).unwrap();
        run(
            &format!("kubectl apply --dry-run=server -f {}", file.display()),
            &path,
            plane.kubeconfig_path(),
        );
    }
    plane.stop();
}

#[test]
fn the_readmes_policy_is_the_one_that_the_guests_test() {
    let guests = fs::read_to_string(root().join("guest-modules/README.md")).unwrap();
    let rust = blocks(&readme(), "rust");
    assert_eq!(rust.len(), 1);
    assert!(
        guests.contains(rust[0].trim_end()),
        "the policy of the README is not in guest-modules/README.md"
    );
}

#[test]
fn every_file_that_the_readme_links_to_exists_and_every_sample_is_used() {
    let text = readme();
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(root().join(link).exists(), "{link}");
    }
    for sample in fs::read_dir(root().join("samples")).unwrap() {
        let name = sample.unwrap().file_name().into_string().unwrap();
        assert!(
            text.contains(&format!("samples/{name}")),
            "the README does not use samples/{name}"
        );
    }
}

#[test]
fn the_build_sample_names_the_secret_of_the_first_sample() {
    let read = |name: &str| -> serde_json::Value {
        serde_norway::from_str(&fs::read_to_string(root().join("samples").join(name)).unwrap())
            .unwrap()
    };
    let (build, secret) = (read("build-config.yaml"), read("ecr_v1alpha1_secret.yaml"));
    assert_eq!(
        build["spec"]["output"]["pushSecret"]["name"],
        secret["spec"]["generated_secret_name"]
    );
    assert_eq!(
        build["metadata"]["namespace"],
        secret["metadata"]["namespace"]
    );
}
