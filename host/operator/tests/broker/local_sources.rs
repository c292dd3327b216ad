//! Credentials from the node: an instance's metadata service, and a container's endpoint.

use std::net::SocketAddr;
use std::process::Command;

use aws_double::Role;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, put};
use ecr_secret_core::reason::Reason;
use ecr_secret_operator::aws::{Broker, BrokerOptions, Environment};

use crate::support::{ROLE, SUBJECT, World, ask, identity, jwt};

/// The ARN of the session that both endpoints hand out.
const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/puller/node";

/// Serves a router on a free port, as long as the test's runtime lives.
async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Session credentials that the double knows, as the JSON that both endpoints serve.
async fn session(world: &World) -> String {
    world
        .aws
        .add_role(Role::new(ROLE).trust_web_identity("node", SUBJECT));
    let client = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
        .region(aws_sdk_sts::config::Region::new("us-east-1"))
        .endpoint_url(world.aws.endpoint())
        .http_client(client)
        .build();
    let answer = aws_sdk_sts::Client::from_conf(config)
        .assume_role_with_web_identity()
        .role_arn(ROLE)
        .role_session_name("node")
        .web_identity_token(jwt("node"))
        .send()
        .await
        .unwrap();
    let keys = answer.credentials.unwrap();
    format!(
        r#"{{"Code":"Success","LastUpdated":"2026-01-01T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"{}","SecretAccessKey":"{}","Token":"{}","Expiration":"{}"}}"#,
        keys.access_key_id, keys.secret_access_key, keys.session_token, "2099-01-01T00:00:00Z"
    )
}

async fn metadata(credentials: String) -> SocketAddr {
    let token = || async {
        let life = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
        (life, "metadata-token")
    };
    let role = "/latest/meta-data/iam/security-credentials/";
    let router = Router::new()
        .route("/latest/api/token", put(token))
        .route(role, get(|| async { "node-role" }))
        .route(
            "/latest/meta-data/iam/security-credentials/node-role",
            get(move || async { credentials }),
        );
    serve(router).await
}

/// An environment for the double with the metadata service at an address.
fn with_metadata(world: &World, endpoint: &str) -> Environment {
    Environment::from_iter([
        ("AWS_ENDPOINT_URL", world.aws.endpoint().as_str()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint),
    ])
}

#[tokio::test]
async fn an_instance_role_is_used_unless_the_metadata_service_is_switched_off() {
    let world = World::new().await;
    let endpoint = format!("http://{}", metadata(session(&world).await).await);
    let on = with_metadata(&world, &endpoint);
    let broker = Broker::new(BrokerOptions::new(on));
    assert_eq!(identity(&ask(&broker).await.unwrap()), SESSION);

    let off = world.options(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint)]);
    let failure = ask(&Broker::new(off)).await.unwrap_err();
    assert_eq!(failure.reason, Reason::CredentialsMissing);
}

#[tokio::test]
async fn a_node_without_a_metadata_service_has_no_credentials() {
    let world = World::new().await;
    let failing = |path: &'static str, status: StatusCode| async move {
        serve(Router::new().route(path, put(move || async move { status }))).await
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let forbidden = failing("/latest/api/token", StatusCode::FORBIDDEN).await;
    for (case, address, reason) in [
        ("nobody", nobody, Reason::CredentialsMissing),
        (
            "silent",
            silent.local_addr().unwrap(),
            Reason::CredentialsMissing,
        ),
        ("forbidden", forbidden, Reason::AwsUnreachable),
    ] {
        let environment = with_metadata(&world, &format!("http://{address}"));
        let broker = Broker::new(BrokerOptions::new(environment));
        let failure = ask(&broker).await.unwrap_err();
        assert_eq!(failure.reason, reason, "{case}: {failure}");
    }
}

/// The SDK takes the container's endpoint from the process, so this runs the test below in one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pod_identity_works_from_the_environment_of_the_process() {
    let world = World::new().await;
    let credentials = session(&world).await;
    let router = Router::new().route(
        "/v1/credentials",
        get(move |headers: axum::http::HeaderMap| async move {
            let known = headers
                .get("authorization")
                .is_some_and(|value| value == "pod-token");
            if known {
                (StatusCode::OK, credentials)
            } else {
                (StatusCode::FORBIDDEN, "{}".to_owned())
            }
        }),
    );
    let address = serve(router).await;
    let token = world.dir.write("pod-token", "pod-token");
    for (url, expected) in [
        (format!("http://{address}/v1/credentials"), "token"),
        // The SDK panics on the first of these, and refuses the second.
        ("169.254.170.23".to_owned(), "CredentialsInvalid"),
        (
            "http://192.0.2.1/v1/credentials".to_owned(),
            "CredentialsInvalid",
        ),
    ] {
        let output = tokio::task::spawn_blocking({
            let mut child = Command::new(std::env::current_exe().unwrap());
            child
                .args([
                    "--exact",
                    "local_sources::child_asks_with_its_own_environment",
                ])
                .args(["--ignored", "--nocapture"])
                .env_clear()
                .env("AWS_ENDPOINT_URL", world.aws.endpoint())
                .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)
                .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token);
            move || child.output()
        })
        .await
        .unwrap()
        .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains(&format!("result={expected}")),
            "{url}: {text}"
        );
    }
}

#[tokio::test]
#[ignore = "runs in a child process of the test above"]
async fn child_asks_with_its_own_environment() {
    let broker = Broker::new(BrokerOptions::new(Environment::of_process()));
    match ask(&broker).await {
        Ok(token) if identity(&token) == SESSION => println!("result=token"),
        Ok(_) => println!("result=another identity"),
        Err(failure) => println!("result={:?}: {failure}", failure.reason),
    }
}
