//! Which registries the operator speaks to for the sake of a tenant.

use std::fmt;
use std::str::FromStr;

use ecr_secret_core::registry::region_of;
use oci_client::client::ClientProtocol;

/// The private registries of ECR, and those that the administrator adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    added: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// A host, with its port if it has one.
    Host { host: String, plain: bool },
    /// All hosts that end so, `.example.com`.
    Domain(String),
    /// All.
    Any,
}

/// An entry that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no registry; write a host such as registry.example.com:5000, *.example.com for all of a domain, or * for all"
)]
pub struct NoRegistry(String);

/// Reads a list with commas. `http://` before a host means that it is spoken to in clear text.
impl FromStr for Registries {
    type Err = NoRegistry;

    fn from_str(text: &str) -> Result<Self, NoRegistry> {
        let entries = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let added = entries.map(|entry| pattern(entry).ok_or_else(|| NoRegistry(entry.to_owned())));
        Ok(Self {
            added: added.collect::<Result<_, _>>()?,
        })
    }
}

fn pattern(entry: &str) -> Option<Pattern> {
    if entry == "*" {
        return Some(Pattern::Any);
    }
    if let Some(domain) = entry.strip_prefix('*') {
        return (domain.starts_with('.') && is_host(&domain[1..]))
            .then(|| Pattern::Domain(domain.to_lowercase()));
    }
    let (host, plain) = match entry.strip_prefix("http://") {
        Some(host) => (host, true),
        None => (entry.strip_prefix("https://").unwrap_or(entry), false),
    };
    is_host(host).then(|| Pattern::Host {
        host: host.to_lowercase(),
        plain,
    })
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !host.is_empty() && host.bytes().all(allowed) && port.parse::<u16>().is_ok()
}

impl Registries {
    /// How to speak to a host, with its port if it has one; none if it is not allowed.
    pub(super) fn protocol(&self, host: &str) -> Option<ClientProtocol> {
        let host = host.to_lowercase();
        let own = self.added.iter().find_map(|pattern| match pattern {
            Pattern::Host { host: known, plain } if *known == host => Some(*plain),
            Pattern::Domain(domain) if host.ends_with(domain.as_str()) => Some(false),
            Pattern::Any => Some(false),
            _ => None,
        });
        match own {
            Some(true) => Some(ClientProtocol::Http),
            Some(false) => Some(ClientProtocol::Https),
            None => region_of(&host).map(|_| ClientProtocol::Https),
        }
    }
}

impl fmt::Display for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ECR and {} more", self.added.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn allowed(list: &str, host: &str) -> Option<&'static str> {
        let registries: Registries = list.parse().unwrap();
        registries.protocol(host).map(|protocol| match protocol {
            ClientProtocol::Http => "http",
            _ => "https",
        })
    }

    #[test]
    fn ecr_is_allowed_and_nothing_else_unless_it_is_added() {
        let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        assert_eq!(allowed("", ecr), Some("https"));
        for host in [
            "ghcr.io",
            "10.0.0.1",
            "localhost:5000",
            "169.254.169.254",
            &format!("{ecr}.evil.example"),
        ] {
            assert_eq!(allowed("", host), None, "{host}");
        }
    }

    #[test]
    fn hosts_domains_and_everything_can_be_added() {
        let list = "ghcr.io, http://127.0.0.1:5000,*.example.com";
        assert_eq!(allowed(list, "ghcr.io"), Some("https"));
        assert_eq!(allowed(list, "GHCR.io"), Some("https"));
        assert_eq!(allowed(list, "127.0.0.1:5000"), Some("http"));
        assert_eq!(allowed(list, "127.0.0.1:5001"), None);
        assert_eq!(allowed(list, "a.b.example.com"), Some("https"));
        assert_eq!(allowed(list, "example.com"), None);
        assert_eq!(allowed(list, "evilexample.com"), None);
        assert_eq!(allowed("*", "anything.example"), Some("https"));
    }

    #[test]
    fn what_is_no_registry_is_named() {
        for bad in ["a/b", "*x", "http://", "host:port", "a b"] {
            let error = bad.parse::<Registries>().unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
    }
}
