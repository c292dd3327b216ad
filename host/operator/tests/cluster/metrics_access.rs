//! The metrics beyond the loopback interface: with TLS, and for those whom the cluster's RBAC allows.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use ecr_secret_core::manifests::{Installation, Scope, reader_role_name};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use test_cluster::{ControlPlane, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{SOON, Stage, eventually};

/// How long the tokens of readers live.
const LIFE: Duration = Duration::from_hours(1);

/// Takes any certificate: what is tested here is who may read.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The status that `/metrics` answers with to a token.
async fn status(port: u16, token: Option<&str>) -> u16 {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A server that does not say goodbye is none of our business.
    let _ = stream.read_to_string(&mut answer).await;
    let status = answer
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .parse()
        .unwrap();
    assert_eq!(
        status == 200,
        answer.contains("ecr_secret_leading"),
        "{answer}"
    );
    status
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_those_who_may_read_them_and_only_with_tls() {
    let plane = Arc::new(ControlPlane::start(Options::default()).await.unwrap());
    let mut stage = Stage::prepare_on(plane, |_| Scope::Cluster).await;
    let installation = Installation {
        namespace: stage.namespace.clone(),
        ..Installation::default()
    };
    let port = free_port();
    let address = format!("0.0.0.0:{port}");
    stage
        .setup
        .environment
        .push(("METRICS_ADDR".to_owned(), address));
    let operator = stage.start().await;
    // The operator may not ask yet.
    assert_eq!(status(port, Some("anything")).await, 503);
    test_stage::install_metrics(&stage.client, &installation)
        .await
        .unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), &stage.namespace);
    for name in ["prometheus", "stranger"] {
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        accounts
            .create(&PostParams::default(), &account)
            .await
            .unwrap();
    }
    let binding = ClusterRoleBinding {
        metadata: ObjectMeta {
            name: Some("prometheus".to_owned()),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: reader_role_name(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: "prometheus".to_owned(),
            namespace: Some(stage.namespace.clone()),
            ..Subject::default()
        }]),
    };
    let bindings: Api<ClusterRoleBinding> = Api::all(stage.client.clone());
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
    let reader = stage
        .cluster
        .service_account_token(&stage.namespace, "prometheus", &[], LIFE)
        .await
        .unwrap();
    let stranger = stage
        .cluster
        .service_account_token(&stage.namespace, "stranger", &[], LIFE)
        .await
        .unwrap();
    eventually(SOON, "the reader may read", || async {
        (status(port, Some(&reader)).await == 200).then_some(())
    })
    .await;
    assert_eq!(status(port, Some(&stranger)).await, 403);
    assert_eq!(status(port, Some("made-up")).await, 401);
    assert_eq!(status(port, None).await, 401);
    drop(operator);

    // A certificate from files, which has to be one.
    let certificate = stage.file("tls.crt", "no certificate");
    stage.file("tls.key", "no key");
    let directory = certificate.strip_suffix("/tls.crt").unwrap().to_owned();
    let output = std::process::Command::new(&stage.setup.binary)
        .env("KUBECONFIG", &stage.setup.kubeconfig)
        .args([
            "--metrics-addr",
            "0.0.0.0:0",
            "--health-addr",
            "127.0.0.1:0",
            "--metrics-cert-dir",
            &directory,
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("METRICS_CERT_DIR") && told.contains("tls.crt"),
        "{told}"
    );
}
