//! The binary without a cluster: mistakes, help, and what it prints.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use aws_double::{AwsDouble, Fault};
use serde_json::json;

use crate::outside::Outside;
use crate::support::Stage;

/// Runs the binary to its end, with nothing in the environment but this.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ecr-secret-operator"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Arguments, environment, and what the one line must name.
type Mistake<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn a_mistake_on_the_command_line_or_in_the_environment_is_one_line_and_exit_code_2() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let garbled = file("garbled", "{ this is no kubeconfig");
    let empty = file("empty", "");
    let usable = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": "http://127.0.0.1:1" } }],
        "users": [{ "name": "u", "user": {} }], "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    let usable = file("usable", &usable.to_string());
    let cases: &[Mistake<'_>] = &[
        (&["--no-such-option"], &[], "--no-such-option"),
        (&["frobnicate"], &[], "frobnicate"),
        (&["run", "surplus"], &[], "surplus"),
        (&["--metrics-addr", "nonsense"], &[], "nonsense"),
        (&["--metrics-addr"], &[], "--metrics-addr"),
        (&["--max-concurrent-reconciles", "0"], &[], "0"),
        (&["--policy-limits", "fule=1"], &[], "fule"),
        (&[], &[("POLICY_LIMITS", "memory=lots")], "POLICY_LIMITS"),
        (&["--log-format", "xml"], &[], "xml"),
        (&["--leader-elect=perhaps"], &[], "perhaps"),
        (&[], &[("LEADER_ELECT", "perhaps")], "perhaps"),
        (&[], &[("HEALTH_ADDR", "8081")], "8081"),
        (
            &[],
            &[("KUBECONFIG", &usable), ("LOG_LEVEL", "=?!")],
            "LOG_LEVEL",
        ),
        (
            &[],
            &[("KUBECONFIG", &usable), ("LOG_LEVEL", "loud")],
            "LOG_LEVEL",
        ),
        (
            &[],
            &[
                ("KUBECONFIG", &usable),
                ("LOG_LEVEL", "info,ecr_secret_operator=loud"),
            ],
            "LOG_LEVEL",
        ),
        (&[], &[("WATCH_NAMESPACE", "Not_A_Name")], "Not_A_Name"),
        (&["rbac"], &[("WATCH_NAMESPACE", "a,b c")], "b c"),
        (&[], &[], "KUBECONFIG"),
        (&[], &[("KUBECONFIG", "/does/not/exist")], "/does/not/exist"),
        (&[], &[("KUBECONFIG", &garbled)], "KUBECONFIG"),
        (&[], &[("KUBECONFIG", &empty)], "KUBECONFIG"),
        (
            &["--health-addr", &taken],
            &[("KUBECONFIG", &usable)],
            "--health-addr",
        ),
        (
            &["--metrics-addr", &taken, "--health-addr", "127.0.0.1:0"],
            &[("KUBECONFIG", &usable)],
            "--metrics-addr",
        ),
    ];
    for (arguments, environment, named) in cases {
        let (code, _, stderr) = run(arguments, environment);
        let case = format!("{arguments:?} {environment:?}: {stderr}");
        assert_eq!(code, Some(2), "{case}");
        assert_eq!(stderr.trim_end_matches('\n').lines().count(), 1, "{case}");
        assert!(stderr.contains(named), "{named} is not named: {case}");
        assert!(!stderr.contains("panicked"), "{case}");
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    for (argument, wanted) in [
        ("--help", "WATCH_NAMESPACE"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let (code, stdout, stderr) = run(&[argument], &[]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert!(stdout.contains(wanted), "{stdout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crds_and_rbac_print_is_accepted_by_kubectl() {
    let stage = Stage::prepare().await;
    let cluster = &stage.cluster;
    let dry_run = |yaml: &str| {
        let mut kubectl = cluster.kubectl();
        kubectl.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "-f",
            "-",
        ]);
        let mut child = kubectl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(yaml.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}\n{yaml}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let (code, crds, _) = run(&["crds"], &[]);
    assert_eq!(code, Some(0));
    let accepted = dry_run(&crds);
    assert!(
        accepted
            .contains("customresourcedefinition.apiextensions.k8s.io/secrets.ecr.mobb.redhat.com"),
        "{accepted}"
    );

    let (code, cluster_wide, _) = run(&["rbac", "--namespace", &stage.namespace], &[]);
    assert_eq!(code, Some(0));
    let accepted = dry_run(&cluster_wide);
    assert!(
        accepted.contains("clusterrole.rbac.authorization.k8s.io/ecr-secret-operator"),
        "{accepted}"
    );
    assert!(
        cluster_wide.contains(&format!("namespace: {}", stage.namespace))
            && !cluster_wide.contains("namespace: ecr-secret-operator"),
        "{cluster_wide}"
    );

    let (code, narrow, _) = run(
        &["rbac"],
        &[
            ("WATCH_NAMESPACE", &stage.namespace),
            ("POD_NAMESPACE", &stage.namespace),
        ],
    );
    assert_eq!(code, Some(0));
    let accepted = dry_run(&narrow);
    assert!(
        accepted.contains("role.rbac.authorization.k8s.io/ecr-secret-operator")
            && !accepted.contains("clusterrole"),
        "{accepted}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_who_aws_says_that_the_operator_is_and_whether_it_gets_tokens() {
    let aws = AwsDouble::start().await;
    let environment = aws.environment();
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let (code, told, _) = run(&["doctor", "us-east-2", "eu-west-1"], &environment);
    assert_eq!(code, Some(0), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines.iter().all(|line| line.starts_with("ok ")), "{told}");
    assert!(
        lines[0].contains("arn:aws:") && lines[0].contains("access key"),
        "{told}"
    );
    assert!(lines[2].contains("eu-west-1: GetAuthorizationToken gives a token until"));
    for secret in environment
        .iter()
        .filter(|(name, _)| name.contains("SECRET"))
    {
        assert!(!told.contains(secret.1), "{told}");
    }

    aws.set_fault(Fault::AccessDenied);
    let (code, told, _) = run(&["doctor", "us-east-2"], &environment);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("BAD") && told.contains("allow ecr:GetAuthorizationToken"),
        "{told}"
    );
    let nothing = [("AWS_EC2_METADATA_DISABLED", "true")];
    let (code, told, _) = run(&["doctor", "us-east-2"], &nothing);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("no AWS credentials found"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_is_reached_by_its_own_names_through_a_proxy_whose_ca_the_administrator_gave() {
    const HOSTS: [&str; 2] = [
        "api.ecr.us-east-2.amazonaws.com",
        "sts.us-east-2.amazonaws.com",
    ];
    let aws = AwsDouble::start().await;
    let outside = Outside::start().await;
    for host in HOSTS {
        outside.add(host, aws.address());
    }
    let mut environment = outside.proxy();
    let keys = aws.environment().into_iter();
    let keys = keys.filter(|(name, _)| *name != "AWS_ENDPOINT_URL");
    environment.extend(keys.map(|(name, value)| (name.to_owned(), value)));
    let doctor = |environment: &[(String, String)]| {
        let pairs: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        run(&["doctor", "us-east-2"], &pairs)
    };

    // Nobody whom this machine trusts has signed what the proxy shows.
    let (code, told, _) = doctor(&environment);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.lines().all(|line| line.starts_with("BAD ")), "{told}");
    assert_eq!(aws.calls().len(), 0);

    environment.push(outside.trust());
    let (code, told, _) = doctor(&environment);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.lines().all(|line| line.starts_with("ok ")), "{told}");
    assert_eq!(outside.asked(), BTreeSet::from(HOSTS.map(str::to_owned)));
}
