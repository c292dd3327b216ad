//! Keys and certificates, as PEM files.

use crate::network::ADDRESS;
use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use std::fs;
use std::path::Path;

/// Whom everybody trusts.
pub(super) const CA: &str = "ca.crt";
/// The API server, as a server.
pub(super) const APISERVER: &str = "apiserver";
/// The API server, as a client of kubelet: `kubectl logs` and `kubectl exec` need it.
pub(super) const KUBELET_CLIENT: &str = "kubelet-client";
/// The API server, as a client of aggregated API servers.
pub(super) const FRONT_PROXY: &str = "front-proxy";
/// Signs the tokens of service accounts.
pub(super) const ACCOUNTS_KEY: &str = "service-accounts.key";
/// Verifies them.
pub(super) const ACCOUNTS_PUBLIC: &str = "service-accounts.pub";

/// Every name and address by which the API server is called, from inside pods too.
const SERVER_NAMES: [&str; 5] = [
    "kubernetes.default.svc",
    "kubernetes.default",
    "10.0.0.1",
    "127.0.0.1",
    ADDRESS,
];

/// Makes all of them.
pub(super) fn write(folder: &Path) -> Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "e2e CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    save(folder, CA, &ca.pem())?;
    let names = SERVER_NAMES.map(str::to_owned).to_vec();
    let server = [ExtendedKeyUsagePurpose::ServerAuth];
    let client = [ExtendedKeyUsagePurpose::ClientAuth];
    certificate(
        folder,
        &ca,
        APISERVER,
        names,
        &server,
        ("kube-apiserver", None),
    )?;
    for (name, group) in [
        (KUBELET_CLIENT, Some("system:masters")),
        (FRONT_PROXY, None),
    ] {
        certificate(folder, &ca, name, Vec::new(), &client, (name, group))?;
    }
    let accounts = KeyPair::generate()?;
    save(folder, ACCOUNTS_KEY, &accounts.serialize_pem())?;
    save(folder, ACCOUNTS_PUBLIC, &accounts.public_key_pem())
}

fn certificate(
    folder: &Path,
    ca: &CertifiedIssuer<'_, KeyPair>,
    file: &str,
    names: Vec<String>,
    usages: &[ExtendedKeyUsagePurpose],
    (subject, group): (&str, Option<&str>),
) -> Result<()> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, subject);
    if let Some(group) = group {
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    params.extended_key_usages = usages.to_vec();
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, ca)?;
    save(folder, &format!("{file}.crt"), &certificate.pem())?;
    save(folder, &format!("{file}.key"), &key.serialize_pem())
}

fn save(folder: &Path, name: &str, pem: &str) -> Result<()> {
    fs::write(folder.join(name), pem).with_context(|| format!("write {name}"))
}
