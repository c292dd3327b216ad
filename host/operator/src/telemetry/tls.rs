//! TLS for the endpoint of the metrics: with a certificate from files, which may change, or with one of our own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

/// How long a client may take to agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How many connections may wait to be served.
const WAITING: usize = 16;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// The names of the files, as in a Secret of type `kubernetes.io/tls`.
const FILES: [&str; 2] = ["tls.crt", "tls.key"];

/// The certificate that is shown now.
#[derive(Debug)]
pub struct Certificate {
    directory: Option<PathBuf>,
    shown: Mutex<(Option<[SystemTime; 2]>, Arc<CertifiedKey>)>,
}

impl Certificate {
    /// The certificate of a directory.
    ///
    /// # Errors
    /// There is none that can be used, with what to do.
    pub fn of_directory(directory: PathBuf) -> Result<Self, String> {
        let seen = times(&directory);
        let key = read(&directory).map_err(|why| {
            format!(
                "METRICS_CERT_DIR: {why}; put tls.crt and tls.key into {}",
                directory.display()
            )
        })?;
        Ok(Self {
            directory: Some(directory),
            shown: Mutex::new((seen, Arc::new(key))),
        })
    }

    /// A certificate for these names that nobody has signed but itself.
    ///
    /// # Errors
    /// No key can be made.
    pub fn self_signed(names: Vec<String>) -> Result<Self, String> {
        let failed = |why: String| format!("no certificate can be made for the metrics: {why}");
        let made =
            rcgen::generate_simple_self_signed(names).map_err(|error| failed(error.to_string()))?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| failed(error.to_owned()))?;
        let key = certified(vec![made.cert.der().clone()], &key).map_err(failed)?;
        Ok(Self {
            directory: None,
            shown: Mutex::new((None, Arc::new(key))),
        })
    }

    /// Takes up another certificate when the files change, for ever. One that cannot be used is not taken up.
    pub async fn follow(self: Arc<Self>) {
        let Some(directory) = &self.directory else {
            return;
        };
        loop {
            tokio::time::sleep(LOOK).await;
            let now = times(directory);
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            if now == shown.0 {
                continue;
            }
            match read(directory) {
                Ok(key) => {
                    *shown = (now, Arc::new(key));
                    info!("the certificate of the metrics is another one now");
                }
                Err(why) => warn!(why, "the new certificate of the metrics cannot be used"),
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown.1))
    }
}

fn times(directory: &Path) -> Option<[SystemTime; 2]> {
    let time = |file: &str| fs::metadata(directory.join(file)).ok()?.modified().ok();
    Some([time(FILES[0])?, time(FILES[1])?])
}

fn read(directory: &Path) -> Result<CertifiedKey, String> {
    let [certificates, key] = FILES.map(|file| directory.join(file));
    let shown = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&certificates)
        .map_err(|error| shown(&certificates, &error))?
        .collect();
    let chain = chain.map_err(|error| shown(&certificates, &error))?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| shown(&key, &error))?;
    certified(chain, &key)
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, String> {
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let signing = any_supported_type(key).map_err(|error| error.to_string())?;
    let key = CertifiedKey::new(chain, signing);
    key.keys_match().map_err(|error| error.to_string())?;
    Ok(key)
}

/// Accepts connections and agrees on keys with several clients at a time, so that a slow one keeps nobody waiting.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// TLS on a listener, with this certificate.
    ///
    /// # Errors
    /// The listener has no address, or the library refuses its own defaults.
    pub fn new(listener: TcpListener, certificate: Arc<Certificate>) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("no TLS for the metrics: {error}");
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (sender, ready) = mpsc::channel(WAITING);
        tokio::spawn(accept(listener, acceptor, sender));
        Ok(Self { address, ready })
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        let place = tokio::select! {
            place = ready.clone().reserve_owned() => place,
            () = ready.closed() => return,
        };
        let Ok(place) = place else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let handshake = timeout(HANDSHAKE, acceptor.accept(stream));
                tokio::spawn(async move {
                    if let Ok(Ok(stream)) = handshake.await {
                        place.send((stream, from));
                    }
                });
            }
            // Out of file handles, most likely: some will be free soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn files(directory: &Path, certificate: &str, key: &str) {
        fs::write(directory.join("tls.crt"), certificate).unwrap();
        fs::write(directory.join("tls.key"), key).unwrap();
    }

    #[test]
    fn a_certificate_that_does_not_belong_to_its_key_is_refused() {
        let make = || rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let (one, other) = (make(), make());
        let directory = tempfile::tempdir().unwrap();
        files(
            directory.path(),
            &one.cert.pem(),
            &one.signing_key.serialize_pem(),
        );
        assert!(Certificate::of_directory(directory.path().to_owned()).is_ok());
        for (certificate, key) in [
            (one.cert.pem(), other.signing_key.serialize_pem()),
            (String::new(), one.signing_key.serialize_pem()),
            (one.cert.pem(), "no key".to_owned()),
        ] {
            files(directory.path(), &certificate, &key);
            let error = Certificate::of_directory(directory.path().to_owned()).unwrap_err();
            assert!(error.contains("tls.crt and tls.key"), "{error}");
        }
    }
}
