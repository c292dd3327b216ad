//! The keys and certificates of the API server, as PEM files.

use crate::Error;
use crate::files::write_private;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::Path;

/// The CA that clients trust.
pub(crate) const CA: &str = "ca.crt";
pub(crate) const SERVER_CERTIFICATE: &str = "apiserver.crt";
pub(crate) const SERVER_KEY: &str = "apiserver.key";
/// Signs the tokens of service accounts.
pub(crate) const ACCOUNTS_KEY: &str = "service-accounts.key";
pub(crate) const ACCOUNTS_PUBLIC: &str = "service-accounts.pub";

/// Makes all keys anew; each is on the curve P-256, which takes no time, unlike RSA.
pub(crate) fn write(directory: &Path) -> Result<(), Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "test-cluster CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    let server_key = KeyPair::generate()?;
    let server = params.signed_by(&server_key, &ca)?;

    let accounts = KeyPair::generate()?;
    for (name, content) in [
        (CA, ca.pem()),
        (SERVER_CERTIFICATE, server.pem()),
        (SERVER_KEY, server_key.serialize_pem()),
        (ACCOUNTS_KEY, accounts.serialize_pem()),
        (ACCOUNTS_PUBLIC, accounts.public_key_pem()),
    ] {
        write_private(&directory.join(name), &content)?;
    }
    Ok(())
}
