//! Denies every resource whose registry is not on a list of accounts and hosts.
//!
//! Settings, at least one of them with something in it:
//!
//! | field | meaning |
//! |---|---|
//! | `accounts` | the AWS accounts whose private registries are allowed, as texts of 12 digits |
//! | `registries` | allowed hosts, exact or as `*.` and a domain, which stands for every host below that domain |
//!
//! ```json
//! {"accounts": ["123456789012"], "registries": ["public.ecr.aws", "*.registry.example.com"]}
//! ```
//!
//! The registry counts as the operator takes it: a host, with or without `https://` or `oci://`, port and path, in upper
//! or lower case. What cannot be read so without a doubt is denied, because the token would go to whatever host a client
//! takes it for. An account is read only from the hosts that AWS gives to private registries,
//! `<account>.dkr.ecr[-fips].<region>.amazonaws.com[.cn]` and `<account>.dkr-ecr[-fips].<region>.on.aws`. Endpoints of a
//! VPC and other partitions have to be named under `registries`.

use ecr_policy::prelude::*;

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(deny_unknown_fields)]
pub struct Settings {
    /// The AWS accounts whose private registries are allowed, as texts of 12 digits.
    #[setting(default)]
    accounts: Vec<String>,
    /// Allowed hosts, exact or as `*.` and a domain, which stands for every host below that domain.
    #[setting(default)]
    registries: Vec<String>,
}

/// The policy that denies what is not on its list.
#[derive(Debug)]
pub struct RegistryAllowList;

impl Policy for RegistryAllowList {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), Refusal> {
        if settings.accounts.is_empty() && settings.registries.is_empty() {
            return Err(Refusal::invalid_setting(
                "accounts",
                "must hold an AWS account, unless `registries` holds a host: one of them has to say what is allowed",
            ));
        }
        if let Some(index) = settings.accounts.iter().position(|text| !is_account(text)) {
            return Err(Refusal::invalid_setting(
                format!("accounts[{index}]"),
                "must be the 12 digits of an AWS account",
            ));
        }
        if let Some(index) = settings
            .registries
            .iter()
            .position(|text| !is_pattern(text))
        {
            return Err(Refusal::invalid_setting(
                format!("registries[{index}]"),
                "must be a host such as `public.ecr.aws` or `*.example.com`, without scheme, port and path",
            ));
        }
        Ok(())
    }

    fn decide(request: &Request, settings: Settings) -> Result<Decision, Refusal> {
        let Some(host) = host_of(&request.resource.registry) else {
            return Err(Refusal::denied(
                "the registry cannot be told from its name: write its host, \
                 at most with `https://` or `oci://` before and a port and a path behind it",
            ));
        };
        let account = account_of(&host);
        let allowed = account.is_some_and(|account| settings.accounts.iter().any(|a| a == account))
            || settings
                .registries
                .iter()
                .any(|pattern| fits(&host, pattern));
        if allowed {
            return Ok(request.default_decision());
        }
        Err(Refusal::denied(match account {
            Some(account) => format!(
                "the registry of account {account} is not allowed: \
                 use one that is, or add the account to the setting `accounts`"
            ),
            None => format!(
                "the registry {host} is not allowed: use one that is, or add it to the setting `registries`"
            ),
        }))
    }
}

/// The host of a registry in lower case; none when there is any doubt about it.
fn host_of(registry: &str) -> Option<String> {
    let registry = registry.to_ascii_lowercase();
    // As the operator does, at the first `://`: a path that holds another must not make two hosts of one name.
    let rest = match registry.split_once("://") {
        Some(("https" | "oci", rest)) => rest,
        Some(_) => return None,
        None => registry.as_str(),
    };
    let authority = rest
        .split_once('/')
        .map_or(rest, |(authority, _)| authority);
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    // A final dot names the same host. There is no user: nobody needs one here, and it can look like a host.
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_port && is_host(host)).then(|| host.to_owned())
}

/// The account that a host names, if it is one that AWS gives to private registries. All of the host counts, from its
/// first part to its last: `….amazonaws.com.evil.example` is somebody else's.
fn account_of(host: &str) -> Option<&str> {
    let parts: Vec<&str> = host.split('.').collect();
    let (account, rest) = parts.split_first()?;
    let is_private = matches!(
        rest,
        ["dkr", "ecr" | "ecr-fips", _, "amazonaws", "com"]
            | ["dkr", "ecr" | "ecr-fips", _, "amazonaws", "com", "cn"]
            | ["dkr-ecr" | "dkr-ecr-fips", _, "on", "aws"]
    );
    (is_private && is_account(account)).then_some(account)
}

/// Whether a host is the one of the list, or below its domain.
fn fits(host: &str, pattern: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(domain) => host
            .strip_suffix(domain)
            .is_some_and(|below| below.ends_with('.')),
        None => host == pattern,
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_pattern(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    is_host(text.strip_prefix("*.").unwrap_or(&text))
}

/// Whether the text is a host name in lower case. kubelet reads wildcards in the name of a registry, so it has to be one
/// to the last letter.
fn is_host(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 253
        && text.split('.').all(|part| {
            (1..=63).contains(&part.len())
                && part.bytes().all(inner)
                && !part.starts_with('-')
                && !part.ends_with('-')
        })
}

ecr_policy::export!(RegistryAllowList);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::test::request;

    const ACCOUNT: &str = r#"{"accounts": ["123456789012"]}"#;

    fn decide(registry: &str, settings: &str) -> Result<Decision, Refusal> {
        let mut request = request("shop", "ecr").with_settings(settings);
        request.resource.registry = registry.into();
        evaluate::<RegistryAllowList>(&request)
    }

    fn why_denied(registry: &str, settings: &str) -> String {
        match decide(registry, settings) {
            Err(Refusal::Denied(why)) => why,
            other => panic!("{registry}: {other:?}"),
        }
    }

    fn wrong_field(settings: &str) -> String {
        let refusal = validate_settings::<RegistryAllowList>(settings).unwrap_err();
        let Refusal::InvalidSettings(errors) = refusal else {
            panic!("{refusal:?}")
        };
        errors[0].field.clone()
    }

    #[test]
    fn a_registry_of_an_allowed_account_gets_the_default_decision() {
        let settings = r#"{"accounts": ["210987654321", "123456789012"]}"#;
        let registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let default = request("shop", "ecr").default_decision();
        assert_eq!(decide(registry, settings).unwrap(), default);
    }

    #[test]
    fn every_form_that_aws_gives_a_private_registry_tells_the_account() {
        for registry in [
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "123456789012.dkr-ecr.us-east-2.on.aws",
            "123456789012.dkr-ecr-fips.us-east-2.on.aws",
            "123456789012.DKR.ECR.us-east-2.AmazonAWS.com",
            "123456789012.dkr.ecr.us-east-2.amazonaws.com.",
            "123456789012.dkr.ecr.us-east-2.amazonaws.com:443",
            "123456789012.dkr.ecr.us-east-2.amazonaws.com/team/app",
            "https://123456789012.dkr.ecr.us-east-2.amazonaws.com/",
            "OCI://123456789012.dkr.ecr.us-east-2.amazonaws.com:443/charts/app",
        ] {
            assert!(decide(registry, ACCOUNT).is_ok(), "{registry}");
        }
    }

    #[test]
    fn another_account_is_denied_by_its_number() {
        let why = why_denied("999999999999.dkr.ecr.eu-west-1.amazonaws.com", ACCOUNT);
        assert!(why.contains("account 999999999999"), "{why}");
        assert!(why.contains("`accounts`"), "{why}");
    }

    #[test]
    fn a_look_alike_tells_no_account() {
        for registry in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn.evil.example",
            "123456789012.dkr.ecr.eu-west-1.evil.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.org",
            "123456789012.dkr.ecr.eu-west-1.amazonaws",
            "123456789012.dkr.ecr.eu-west-1.xamazonaws.com",
            "123456789012.dkr.ecr.amazonaws.com",
            "123456789012.dkr.ecrx.eu-west-1.amazonaws.com",
            "123456789012.dkr-ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.on.aws",
            "123456789012.dkr-ecr.eu-west-1.on.aws.evil.example",
            "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "x123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
            "23456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "evil.example/123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "evil.example:443/123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "https://evil.example/https://123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        ] {
            let why = why_denied(registry, ACCOUNT);
            assert!(why.contains("`registries`"), "{registry}: {why}");
        }
    }

    #[test]
    fn what_cannot_be_read_without_a_doubt_is_denied() {
        for registry in [
            "",
            ".",
            "/",
            "https://",
            "https:///123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "//123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "ftp://123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "https:123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com@evil.example",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443@evil.example",
            "https://evil.example@123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "evil.example\\@123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "evil.example#.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "evil.example?123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com?",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x://evil.example",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:https",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com..",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.-a.amazonaws.com",
            "123456789012.dkr.ecr.*.amazonaws.com",
            "12345678901[0-9].dkr.ecr.eu-west-1.amazonaws.com",
            " 123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com\n",
            "１23456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "[::1]:5000",
        ] {
            let why = why_denied(registry, ACCOUNT);
            assert!(why.contains("write its host"), "{registry}: {why}");
        }
    }

    #[test]
    fn an_exact_host_is_that_host_only() {
        let settings = r#"{"registries": ["Public.ECR.aws", "localhost"]}"#;
        for registry in [
            "public.ecr.aws",
            "oci://PUBLIC.ecr.aws/alias/app",
            "localhost:5000",
        ] {
            assert!(decide(registry, settings).is_ok(), "{registry}");
        }
        for registry in [
            "public.ecr.aws.evil.example",
            "x.public.ecr.aws",
            "ecr.aws",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        ] {
            why_denied(registry, settings);
        }
    }

    #[test]
    fn a_star_stands_for_every_host_below_a_domain_and_not_for_the_domain() {
        let settings = r#"{"registries": ["*.Example.com"]}"#;
        for registry in ["a.example.com", "https://b.a.EXAMPLE.com:8443/x"] {
            assert!(decide(registry, settings).is_ok(), "{registry}");
        }
        for registry in [
            "example.com",
            ".example.com",
            "evilexample.com",
            "a.example.com.evil.example",
            "*.example.com",
        ] {
            why_denied(registry, settings);
        }
    }

    #[test]
    fn an_endpoint_of_a_vpc_is_allowed_by_its_host() {
        let endpoint = "vpce-0a1b2c-d3e4.dkr.ecr.us-east-2.vpce.amazonaws.com";
        why_denied(endpoint, ACCOUNT);
        let settings = format!(r#"{{"accounts": ["123456789012"], "registries": ["{endpoint}"]}}"#);
        assert!(decide(endpoint, &settings).is_ok());
    }

    #[test]
    fn settings_that_allow_nothing_are_invalid() {
        for settings in ["", "{}", r#"{"accounts": [], "registries": []}"#] {
            assert_eq!(wrong_field(settings), "accounts", "{settings}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        for (settings, field) in [
            (r#"{"accounts": ["123456789012", "1234"]}"#, "accounts[1]"),
            (r#"{"accounts": ["12345678901x"]}"#, "accounts[0]"),
            (r#"{"accounts": [123456789012]}"#, "accounts[0]"),
            (r#"{"registries": ["a.example", ""]}"#, "registries[1]"),
            (r#"{"registries": ["*"]}"#, "registries[0]"),
            (r#"{"registries": ["*."]}"#, "registries[0]"),
            (r#"{"registries": ["a.*.example"]}"#, "registries[0]"),
            (r#"{"registries": ["*.*.example"]}"#, "registries[0]"),
            (r#"{"registries": ["https://a.example"]}"#, "registries[0]"),
            (r#"{"registries": ["a.example:443"]}"#, "registries[0]"),
            (r#"{"registries": ["a.example/x"]}"#, "registries[0]"),
            (r#"{"account": ["123456789012"]}"#, "account"),
        ] {
            assert_eq!(wrong_field(settings), field, "{settings}");
        }
    }
}
