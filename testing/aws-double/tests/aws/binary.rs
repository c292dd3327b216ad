use std::process::Stdio;
use std::time::Duration;

use aws_double::{Action, DoubleClient, Fault, FaultRule};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::sdk::{config, key};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aws-double"));
    command.kill_on_drop(true);
    command
}

#[tokio::test]
async fn the_binary_announces_itself_serves_and_ends_on_sigterm() {
    let mut child = binary()
        .args([
            "--listen",
            "127.0.0.1:0",
            "--token-life",
            "90s",
            "--identity",
            "AKIABIN=arn:aws:iam::1:user/bin",
        ])
        .args([
            "--role",
            "arn:aws:iam::1:role/r=openshift:system:serviceaccount:ns:name",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let endpoint = first
        .strip_prefix("# aws-double listens on ")
        .unwrap()
        .to_owned();
    let mut exports = Vec::new();
    while exports.len() < 4 {
        exports.push(lines.next_line().await.unwrap().unwrap());
    }
    assert!(
        exports.contains(&format!("export AWS_ENDPOINT_URL={endpoint}")),
        "{exports:?}"
    );
    assert!(
        exports.contains(&"export AWS_ACCESS_KEY_ID=AKIABIN".to_owned()),
        "{exports:?}"
    );

    let admin = DoubleClient::new(endpoint.clone());
    assert_eq!(
        admin.settings().await.unwrap().token_life,
        Duration::from_secs(90)
    );
    admin
        .set_fault(FaultRule::from(Fault::Throttle).times(1))
        .await
        .unwrap();
    let ecr = aws_sdk_ecr::Client::new(&config(&endpoint, "eu-west-1", key("AKIABIN")).await);
    assert!(ecr.get_authorization_token().send().await.is_err());
    ecr.get_authorization_token().send().await.unwrap();
    let counts = admin.counts().await.unwrap();
    assert_eq!(
        counts.exactly(
            Action::EcrGetAuthorizationToken,
            "eu-west-1",
            "arn:aws:iam::1:user/bin"
        ),
        2
    );

    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("sh")
            .args(["-c", &format!("kill -TERM {pid}")])
            .status()
            .await
            .unwrap()
            .success()
    );
    let status = timeout(Duration::from_secs(10), child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn bad_flags_exit_with_2_and_say_what_to_write() {
    for (flags, hint) in [
        (["--token-life", "soon"], "12h, 90s or 1.5s"),
        (["--token-life", "-5s"], "--token-life"),
        (["--identity", "AKIA"], "KEYID=ARN"),
        (["--identity", "AKIA=me"], "is not an ARN"),
        (
            ["--role", "arn:aws:iam::1:role/r=openshift"],
            "ARN=AUDIENCE:SUBJECT",
        ),
        (["--listen", "here"], "--listen"),
        (["--port", "1"], "--port"),
    ] {
        let output = binary().args(flags).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(hint), "{flags:?}: {text}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_one_line_and_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = binary()
        .args(["--listen", &address])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(&address) && text.contains("--listen"),
        "{text}"
    );
}
