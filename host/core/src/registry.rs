//! Which ECR, in which region, a registry's name stands for.
//!
//! A host is never refused for its looks and never rewritten: VPC endpoints, pull-through caches and
//! private names look like nothing. Then the region has to be written down.

use std::fmt;

use crate::api::SpecView;

/// The only region of ECR Public.
const PUBLIC_REGION: &str = "us-east-1";
const PUBLIC_HOSTS: [&str; 2] = ["public.ecr.aws", "ecr-public.aws.com"];

/// The domains that AWS serves private registries under, in all its partitions.
const PRIVATE_DOMAINS: [&str; 11] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "vpce.amazonaws.com",
    "vpce.amazonaws.com.cn",
    "on.aws",
    "on.amazonwebservices.com.cn",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// The two services that give tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistryKind {
    /// `ecr`: one token for all private registries of a region.
    Private,
    /// `ecr-public`: `public.ecr.aws`.
    Public,
}

/// A name that may stand in the host name of an AWS endpoint: a DNS label of `[a-z0-9-]`.
///
/// It need not exist. The type is what keeps a tenant's text from pointing the operator at a host
/// of the tenant's choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(String);

impl Region {
    /// The region of this name; none when [`is_plausible_region`] says no.
    pub fn new(name: &str) -> Option<Self> {
        is_plausible_region(name).then(|| Self(name.to_owned()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a resource's token comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Which service.
    pub kind: RegistryKind,
    /// In which region.
    pub region: Region,
}

/// Why there is no [`Target`]. The condition's reason is [`crate::reason::Reason::InvalidRegion`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The spec's region cannot be one.
    #[error(
        "spec.region {0:?} is no AWS region: use lower-case letters, digits and hyphens, for instance us-east-2"
    )]
    Implausible(String),
    /// Neither the spec nor the host tells.
    #[error("no AWS region: set spec.region, because the registry's host {0:?} does not tell it")]
    Unknown(String),
}

/// Whether the text can be a region's name: a DNS label of `[a-z0-9-]`, at most 63 long.
pub fn is_plausible_region(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The host within a registry's name: without scheme, user, port, path and final dot.
pub fn host(registry: &str) -> &str {
    // What comes after a slash is a path, whatever it looks like.
    let rest = registry
        .split_once("://")
        .filter(|(scheme, _)| !scheme.contains('/'))
        .map_or(registry, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host)
}

/// Which service the registry belongs to.
pub fn kind_of(registry: &str) -> RegistryKind {
    if PUBLIC_HOSTS
        .iter()
        .any(|public| public.eq_ignore_ascii_case(host(registry)))
    {
        RegistryKind::Public
    } else {
        RegistryKind::Private
    }
}

/// The region that a private registry's host tells: `<account>.dkr.ecr[-fips].<region>.<domain>` and
/// `<account>.dkr-ecr[-fips].<region>.<domain>`, under the domains of all AWS partitions. A scheme and
/// a path do no harm.
pub fn region_of(registry: &str) -> Option<&str> {
    let (_account, rest) = host(registry).split_once('.')?;
    let rest = ["dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr.", "dkr-ecr-fips."]
        .into_iter()
        .find_map(|service| strip_prefix_ignoring_case(rest, service))?;
    let (region, domain) = rest.split_once('.')?;
    let known = PRIVATE_DOMAINS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(domain));
    (known && is_plausible_region(region)).then_some(region)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

/// Where this resource's token comes from: the spec's region, else the host's. ECR Public has one
/// region only, whatever the spec says.
///
/// # Errors
/// When the spec's region is no plausible one, or when there is none in the spec nor in the host.
pub fn resolve(view: &SpecView<'_>) -> Result<Target, TargetError> {
    let kind = kind_of(view.registry);
    let name = match (kind, view.region) {
        (RegistryKind::Public, _) => PUBLIC_REGION,
        (RegistryKind::Private, Some(region)) => region,
        (RegistryKind::Private, None) => region_of(view.registry)
            .ok_or_else(|| TargetError::Unknown(host(view.registry).to_owned()))?,
    };
    let region = Region::new(name).ok_or_else(|| TargetError::Implausible(shorten(name)))?;
    Ok(Target { kind, region })
}

/// Enough of a hostile text to recognise it in a message.
fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use crate::api::{CredentialResource, EcrSecret};
    use proptest::prelude::*;

    fn target(registry: &str, region: Option<&str>) -> Result<Target, TargetError> {
        let mut resource = EcrSecret::default();
        resource.spec.ecr_registry = Some(registry.to_owned());
        resource.spec.region = region.map(str::to_owned);
        resolve(&resource.view())
    }

    #[test]
    fn the_host_tells_the_region_in_every_partition() {
        for (registry, region) in [
            ("123456789012.dkr.ecr.us-east-2.amazonaws.com", "us-east-2"),
            ("123456789012.dkr.ecr.us-east-2.amazonaws.com.", "us-east-2"),
            (
                "123456789012.dkr.ecr.us-east-2.amazonaws.com:443",
                "us-east-2",
            ),
            ("123456789012.DKR.ECR.us-east-2.AmazonAWS.com", "us-east-2"),
            (
                "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/charts/app",
                "eu-west-1",
            ),
            (
                "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",
                "eu-west-1",
            ),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
            (
                "123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov",
                "us-iso-east-1",
            ),
            (
                "123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
                "us-isob-east-1",
            ),
            (
                "123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk",
                "eu-isoe-west-1",
            ),
            (
                "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
            ),
            ("123456789012.dkr-ecr.us-east-2.on.aws", "us-east-2"),
            ("123456789012.dkr-ecr-fips.us-east-2.on.aws", "us-east-2"),
            (
                "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
                "cn-north-1",
            ),
            (
                "vpce-0a1b2c-d3e4.dkr.ecr.us-east-2.vpce.amazonaws.com",
                "us-east-2",
            ),
            (
                "000000000000.dkr.ecr.xx-invalid-99.amazonaws.com",
                "xx-invalid-99",
            ),
        ] {
            assert_eq!(region_of(registry), Some(region), "{registry}");
            assert_eq!(kind_of(registry), RegistryKind::Private, "{registry}");
        }
    }

    #[test]
    fn a_host_that_does_not_tell_is_not_guessed_at() {
        for registry in [
            "",
            ".",
            "registry.example.com",
            "dkr.ecr.us-east-2.amazonaws.com",
            "1.dkr.ecr.us-east-2",
            "1.dkr.ecr.us-east-2.amazonaws.com.evil.example",
            "1.dkr.ecr.us_east.amazonaws.com",
            "1.dkr.ecr..amazonaws.com",
            "1.dkr.ecr.-a.amazonaws.com",
            "evil.example/1.dkr.ecr.us-east-2.amazonaws.com",
            "evil.example/x://1.dkr.ecr.us-east-2.amazonaws.com",
            "1.dkr.ecr.us-east-2.amazonaws.com@evil.example",
            "1.dkr.ecr.us-east-2.evil.example",
            "public.ecr.aws",
        ] {
            assert_eq!(region_of(registry), None, "{registry}");
        }
    }

    #[test]
    fn the_spec_wins_over_the_host() {
        let registry = "1.dkr.ecr.us-east-2.amazonaws.com";
        assert_eq!(
            target(registry, Some("eu-west-1")).unwrap().region.as_str(),
            "eu-west-1"
        );
        assert_eq!(
            target(registry, Some("")).unwrap().region.as_str(),
            "us-east-2"
        );
        assert_eq!(
            target(registry, None).unwrap(),
            Target {
                kind: RegistryKind::Private,
                region: Region::new("us-east-2").unwrap()
            }
        );
    }

    #[test]
    fn no_host_is_refused_when_the_spec_names_the_region() {
        for registry in [
            "",
            "registry.internal:5000",
            "weird host",
            "1.dkr.ecr.us_east.amazonaws.com",
        ] {
            assert_eq!(
                target(registry, Some("us-east-2")).unwrap().kind,
                RegistryKind::Private
            );
            assert!(matches!(
                target(registry, None),
                Err(TargetError::Unknown(_))
            ));
        }
    }

    #[test]
    fn ecr_public_lives_in_one_region() {
        for registry in [
            "public.ecr.aws",
            "PUBLIC.ecr.aws",
            "oci://public.ecr.aws/x/y",
            "public.ecr.aws:443",
            "ecr-public.aws.com",
        ] {
            for region in [None, Some("eu-west-1"), Some("$%&")] {
                let target = target(registry, region).unwrap();
                assert_eq!(
                    (target.kind, target.region.as_str()),
                    (RegistryKind::Public, "us-east-1")
                );
            }
        }
        assert_eq!(
            kind_of("public.ecr.aws.evil.example"),
            RegistryKind::Private
        );
    }

    #[test]
    fn a_region_cannot_lead_to_another_host() {
        for region in [
            "evil.example/",
            "us-east-2.evil.example",
            "us-east-2#",
            "us-east-2@x",
            "US-EAST-2",
            "us east",
            "-a",
            "a-",
            "ü",
            "a\n",
            &"a".repeat(64),
        ] {
            let error = target("1.dkr.ecr.us-east-2.amazonaws.com", Some(region)).unwrap_err();
            assert!(matches!(error, TargetError::Implausible(_)), "{region}");
            assert!(
                !error.to_string().contains('\n')
                    && error.to_string().contains("for instance us-east-2")
            );
        }
        assert!(is_plausible_region("xx-invalid-99"));
        assert!(is_plausible_region(&"a".repeat(63)));
    }

    proptest! {
        #[test]
        fn every_target_is_safe_to_put_into_a_host_name(registry in "\\PC*", near in "[a-z0-9.]{0,9}\\.(dkr\\.ecr|dkr-ecr)[-.][a-zA-Z0-9.ü-]{0,30}", region in proptest::option::of("\\PC{0,9}")) {
            for registry in [registry, near] {
                if let Ok(target) = target(&registry, region.as_deref()) {
                    prop_assert!(is_plausible_region(target.region.as_str()));
                }
            }
        }
    }
}
