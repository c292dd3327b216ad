//! What the image is made of, with licences: the binary's own list, completed by cargo.

use super::binary::{Audit, AuditedPackage, Kind, Source};
use super::platform::Platform;
use crate::process::{cargo, output};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The CA certificates of Mozilla. They are not in the binary, but in a file beside it.
const CERTIFICATES: &str = "webpki-root-certs";

/// A package of which something is in the image, or that ran when it was built.
pub(super) struct Dependency {
    pub(super) audited: AuditedPackage,
    /// By SPDX.
    pub(super) license: Option<String>,
    /// Where its sources lie.
    pub(super) directory: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
    source: Option<String>,
}

/// Completes the list of a binary, and adds the CA certificates to it.
///
/// # Errors
/// cargo does not know a package that the binary lists.
pub(super) async fn resolve(
    sources: &Path,
    platform: Platform,
    audit: Audit,
) -> Result<Vec<Dependency>> {
    let mut command = cargo(sources);
    command.args(["metadata", "--format-version", "1", "--locked"]);
    command.args(["--filter-platform", platform.target()]);
    let metadata = serde_json::from_str(&output(command).await?)
        .context("`cargo metadata` printed something else")?;
    complete(audit, &metadata)
}

fn complete(mut audit: Audit, metadata: &Metadata) -> Result<Vec<Dependency>> {
    add_certificates(&mut audit, metadata)?;
    let complete = |audited: AuditedPackage| {
        let mut packages = metadata.packages.iter();
        let package = packages
            .find(|package| package.is(&audited))
            .with_context(|| {
                let AuditedPackage { name, version, .. } = &audited;
                format!(
                    "cargo does not know {name} {version}, which the binary lists: build it again"
                )
            })?;
        let directory = package.manifest_path.parent();
        Ok(Dependency {
            audited,
            license: package.license.as_deref().map(spdx),
            directory: directory.unwrap_or(Path::new("/")).to_owned(),
        })
    };
    audit.packages.into_iter().map(complete).collect()
}

fn add_certificates(audit: &mut Audit, metadata: &Metadata) -> Result<()> {
    let mut packages = metadata.packages.iter();
    let package = packages
        .find(|package| package.name == CERTIFICATES)
        .with_context(|| format!("cargo does not know {CERTIFICATES}, on which xtask depends"))?;
    let position = audit.packages.len();
    audit.packages.push(AuditedPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        source: Source::CratesIo,
        kind: Kind::Runtime,
        dependencies: Vec::new(),
        root: false,
    });
    for root in audit.packages.iter_mut().filter(|package| package.root) {
        root.dependencies.push(position);
    }
    Ok(())
}

impl Package {
    fn is(&self, audited: &AuditedPackage) -> bool {
        let is_local = self.source.is_none();
        self.name == audited.name
            && self.version == audited.version
            && is_local == (audited.source == Source::Local)
    }
}

/// Older packages write `MIT/Apache-2.0`.
fn spdx(license: &str) -> String {
    let names: Vec<_> = license.split('/').map(str::trim).collect();
    names.join(" OR ")
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    /// The operator with a linked and a built package, whose sources are in the directory.
    pub(in super::super) fn some(directory: &Path) -> Vec<Dependency> {
        let audit = json!({ "packages": [
            { "name": "build-tool", "version": "0.1.0", "source": "crates.io", "kind": "build" },
            { "name": "linked", "version": "1.2.0", "source": "crates.io" },
            { "name": "operator", "version": "1.0.0", "source": "local", "dependencies": [0, 1], "root": true },
        ]});
        complete(serde_json::from_value(audit).unwrap(), &metadata(directory)).unwrap()
    }

    fn metadata(directory: &Path) -> Metadata {
        let package = |name: &str, version: &str, license: &str, source: Option<&str>| {
            let manifest = directory.join(name).join("Cargo.toml");
            json!({ "name": name, "version": version, "license": license, "manifest_path": manifest, "source": source })
        };
        let registry = Some("registry+https://github.com/rust-lang/crates.io-index");
        let packages = [
            package("linked", "1.1.0", "ISC", registry),
            package("linked", "1.2.0", "MIT/Apache-2.0", registry),
            package("build-tool", "0.1.0", "Zlib", registry),
            package("operator", "1.0.0", "Apache-2.0", None),
            package(CERTIFICATES, "1.0.11", "CDLA-Permissive-2.0", registry),
        ];
        serde_json::from_value(json!({ "packages": packages })).unwrap()
    }

    #[test]
    fn a_package_gets_the_licence_of_its_version_and_the_operator_the_certificates() {
        let dependencies = some(Path::new("/registry"));
        let linked = &dependencies[1];
        assert_eq!(linked.license.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(linked.directory, Path::new("/registry/linked"));
        assert_eq!(dependencies[2].audited.dependencies, [0, 1, 3]);
        assert_eq!(dependencies[3].audited.name, CERTIFICATES);
    }

    #[test]
    fn a_package_that_cargo_does_not_know_is_named() {
        let audit = json!({ "packages": [{ "name": "linked", "version": "9.0.0", "source": "crates.io" }] });
        let audit = serde_json::from_value(audit).unwrap();
        let error = complete(audit, &metadata(Path::new("/registry")))
            .map(|_| ())
            .unwrap_err();
        assert!(error.to_string().contains("linked 9.0.0"), "{error}");
    }
}
