//! The internet as it is behind a proxy: hosts that only the proxy finds, with certificates of a CA of the administrator's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const CA: &str = "ca.crt";

/// A proxy for HTTPS that knows some hosts. It ends when this is dropped.
pub(crate) struct Outside {
    address: SocketAddr,
    shared: Arc<Shared>,
    directory: tempfile::TempDir,
    task: JoinHandle<()>,
}

struct Shared {
    issuer: CertifiedIssuer<'static, KeyPair>,
    hosts: Mutex<BTreeMap<String, SocketAddr>>,
    asked: Mutex<BTreeSet<String>>,
}

impl Outside {
    /// A proxy that knows no host yet.
    pub(crate) async fn start() -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let directory = tempfile::tempdir().unwrap();
        let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(directory.path().join(CA), issuer.pem()).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            issuer,
            hosts: Mutex::default(),
            asked: Mutex::default(),
        });
        Self {
            address,
            task: tokio::spawn(serve(listener, Arc::clone(&shared))),
            shared,
            directory,
        }
    }

    /// From now on this host is what speaks clear text at that address.
    pub(crate) fn add(&self, host: &str, to: SocketAddr) {
        let mut hosts = self.shared.hosts.lock().unwrap();
        hosts.insert(host.to_owned(), to);
    }

    /// The variables by which a process is told of the proxy. The cluster is reached directly.
    pub(crate) fn proxy(&self) -> Vec<(String, String)> {
        let address = format!("http://{}", self.address);
        let variables = [
            ("HTTPS_PROXY", address.as_str()),
            ("NO_PROXY", "127.0.0.1,localhost"),
        ];
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// The variable by which a process trusts the CA, and nobody else.
    pub(crate) fn trust(&self) -> (String, String) {
        let file = self.directory.path().join(CA).display().to_string();
        ("SSL_CERT_FILE".to_owned(), file)
    }

    /// The hosts that somebody wanted to reach.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// TLS as this host, certified by the issuer.
fn acceptor(host: &str, issuer: &CertifiedIssuer<'_, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([host.to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A caller that goes away in the middle is its own affair.
        tokio::spawn(tunnel(stream, Arc::clone(&shared)));
    }
}

/// Answers `CONNECT host:443`, speaks TLS as that host, and hands on what comes.
async fn tunnel(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await? > 2 {
        head.push_str(&line);
        line.clear();
    }
    let host = head.strip_prefix("CONNECT ");
    let host = host.and_then(|rest| rest.split_once(":443 "));
    let host = host.map_or(head.as_str(), |(host, _)| host).to_owned();
    let to = shared.hosts.lock().unwrap().get(&host).copied();
    shared.asked.lock().unwrap().insert(host.clone());
    let Some(to) = to else {
        return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut from = acceptor(&host, &shared.issuer).accept(stream).await?;
    let mut to = TcpStream::connect(to).await?;
    copy_bidirectional(&mut from, &mut to).await.map(drop)
}
