//! The files of the image. Nothing is written to them, and any user may read them.

use super::config::ENTRYPOINT;
use super::dependencies::Dependency;
use super::layer::{Entry, Tree};
use super::notices::notices;
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

const LICENSE: &str = include_str!("../../../LICENSE");
/// The first place where rustls looks; without it no connection to AWS would be trusted.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
/// The length of a line in a PEM file.
const PEM_LINE: usize = 64;

/// All files around the binary.
///
/// # Errors
/// The licence of a dependency cannot be read.
pub(super) fn contents(binary: Vec<u8>, dependencies: &[Dependency]) -> Result<Tree> {
    let directory = |path: &str, mode| (path.to_owned(), Entry::Directory(mode));
    let file = |path: &str, text: String| (path.to_owned(), Entry::File(0o644, text.into_bytes()));
    Ok(Tree::from([
        (
            ENTRYPOINT.trim_start_matches('/').to_owned(),
            Entry::File(0o755, binary),
        ),
        directory("etc", 0o755),
        directory("etc/ssl", 0o755),
        directory("etc/ssl/certs", 0o755),
        file(CERTIFICATES, certificates()),
        directory("licenses", 0o755),
        file("licenses/LICENSE", LICENSE.to_owned()),
        file("licenses/THIRD-PARTY", notices(dependencies)?),
        // The Deployment mounts a volume here. Elsewhere it is as every system has it.
        directory("tmp", 0o1777),
    ]))
}

/// The CA certificates of Mozilla as PEM.
fn certificates() -> String {
    let mut pem = String::new();
    for certificate in TLS_SERVER_ROOT_CERTS {
        let text = STANDARD.encode(certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for start in (0..text.len()).step_by(PEM_LINE) {
            let end = text.len().min(start + PEM_LINE);
            // Writing to a String does not fail.
            let _ = writeln!(pem, "{}", &text[start..end]);
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn any_user_may_read_every_file_and_only_root_may_write_one() {
        let tree = contents(b"binary".to_vec(), &[]).unwrap();
        for (path, entry) in &tree {
            match entry {
                Entry::File(mode, bytes) => {
                    assert_eq!(mode & 0o666, 0o644, "{path}");
                    assert!(!bytes.is_empty(), "{path}");
                }
                Entry::Directory(mode) => assert_eq!(mode & 0o555, 0o555, "{path}"),
            }
            // Every directory has an entry of its own, so that its mode is said.
            let parent = path.rsplit_once('/').map(|(parent, _)| parent);
            assert!(
                parent.is_none_or(|parent| tree.contains_key(parent)),
                "{path}"
            );
        }
        let Entry::File(mode, binary) = &tree["ecr-secret-operator"] else {
            panic!("the binary is a file");
        };
        assert_eq!((*mode, binary.as_slice()), (0o755, b"binary".as_slice()));
    }

    #[test]
    fn every_certificate_is_in_the_bundle_as_it_was() {
        let pem = certificates();
        let bodies = pem.split("-----END CERTIFICATE-----\n");
        let decoded: Vec<_> = bodies
            .filter(|body| !body.is_empty())
            .map(|body| {
                let body = body.strip_prefix("-----BEGIN CERTIFICATE-----\n").unwrap();
                assert!(body.lines().all(|line| line.len() <= PEM_LINE));
                STANDARD.decode(body.replace('\n', "")).unwrap()
            })
            .collect();
        assert!(decoded.len() > 100);
        assert!(
            decoded
                .iter()
                .eq(TLS_SERVER_ROOT_CERTS.iter().map(|der| &**der))
        );
    }
}
