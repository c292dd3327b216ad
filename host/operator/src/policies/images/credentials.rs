//! With what a registry is opened: a pull Secret of the tenant, the token that we hold anyway, or nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::ECR_USER;
use ecr_secret_core::registry::{RegistryKind, region_of};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use oci_client::secrets::RegistryAuth;
use serde_json::Value;

use crate::aws::{Broker, Freshness, TokenKey};

/// The key of a Secret of type `kubernetes.io/dockerconfigjson`.
const KEY: &str = ".dockerconfigjson";

/// The operator's own token for an ECR registry; nothing for any other.
pub(super) async fn own(broker: &Broker, host: &str) -> Result<RegistryAuth, String> {
    let Some(region) = region_of(host) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let key = TokenKey {
        region: region.to_lowercase(),
        kind: RegistryKind::Private,
    };
    let token = broker.token(&key, Freshness::ANY).await;
    let token = token.map_err(|failure| failure.to_string())?;
    Ok(RegistryAuth::Basic(
        ECR_USER.to_owned(),
        token.expose_password().to_owned(),
    ))
}

/// What a pull Secret has for a host.
pub(super) async fn of_secret(
    client: &Client,
    namespace: &str,
    name: &str,
    host: &str,
) -> kube::Result<Result<RegistryAuth, String>> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let Some(secret) = api.get_opt(name).await? else {
        return Ok(Err(format!(
            "Secret {name} does not exist; create it, or correct spec.policy.pull_secret"
        )));
    };
    let data = secret.data.unwrap_or_default();
    let Some(config) = data.get(KEY) else {
        return Ok(Err(format!(
            "Secret {name} has no key {KEY}; make it with kubectl create secret docker-registry"
        )));
    };
    Ok(basic(&config.0, host).ok_or_else(|| {
        format!("Secret {name} has no user and password for {host}; add them to it")
    }))
}

/// User and password for a host in a Docker configuration.
fn basic(config: &[u8], host: &str) -> Option<RegistryAuth> {
    let config: Value = serde_json::from_slice(config).ok()?;
    let auths = config.get("auths")?.as_object()?;
    // Keys may be written as addresses: https://host/v1/.
    let is_of = |key: &str| {
        let key = key.split_once("://").map_or(key, |(_, rest)| rest);
        key.split('/')
            .next()
            .is_some_and(|found| found.eq_ignore_ascii_case(host))
    };
    let (_, entry) = auths.iter().find(|(key, _)| is_of(key))?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Some(RegistryAuth::Basic(user, password));
    }
    let pair = String::from_utf8(STANDARD.decode(text("auth")?).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, host: &str) -> Option<(String, String)> {
        match basic(config.as_bytes(), host)? {
            RegistryAuth::Basic(user, password) => Some((user, password)),
            _ => None,
        }
    }

    #[test]
    fn user_and_password_are_found_in_both_forms_and_for_the_host_only() {
        let plain = r#"{"auths":{"ghcr.io":{"username":"u","password":"p"}}}"#;
        let encoded = r#"{"auths":{"https://ghcr.io/v1/":{"auth":"dTpwOnc="}}}"#;
        assert_eq!(found(plain, "ghcr.io"), Some(("u".into(), "p".into())));
        assert_eq!(found(encoded, "GHCR.io"), Some(("u".into(), "p:w".into())));
        assert_eq!(found(plain, "ghcr.io.evil.example"), None);
        for broken in [
            "",
            "{}",
            r#"{"auths":{"ghcr.io":{"auth":"%"}}}"#,
            r#"{"auths":[]}"#,
        ] {
            assert_eq!(found(broken, "ghcr.io"), None, "{broken}");
        }
    }
}
