//! Who calls: the credential scope of `SigV4`, and the identity behind the access key id. Signatures are not verified.

use axum::http::HeaderMap;

use crate::ledger::Action;
use crate::state::State;
use crate::wire::{Protocol, Refusal};

/// The credential scope of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Scope {
    /// Reads `Authorization: AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …`.
    /// `None` when the request is not signed like that.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers
            .get("authorization")?
            .to_str()
            .ok()?
            .strip_prefix("AWS4-HMAC-SHA256")?;
        let credential = value
            .split(',')
            .find_map(|part| part.trim().strip_prefix("Credential="))?;
        let [access_key_id, _date, region, service, "aws4_request"] =
            credential.split('/').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        Some(Self {
            access_key_id: access_key_id.into(),
            region: region.into(),
            service: service.into(),
        })
    }
}

/// An identity that may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The ARN that `GetCallerIdentity` tells.
    pub(crate) arn: String,
    /// For temporary credentials the ARN of the role.
    pub(crate) role: Option<String>,
}

impl Caller {
    /// Who is behind an access key id, expired or not.
    pub(crate) fn behind(state: &State, access_key_id: &str) -> Option<Self> {
        if let Some(arn) = state.identities.get(access_key_id) {
            return Some(Self {
                arn: arn.clone(),
                role: None,
            });
        }
        let session = state.sessions.get(access_key_id)?;
        Some(Self {
            arn: session.arn.clone(),
            role: Some(session.role.clone()),
        })
    }

    /// The account number in the ARN, or zeros.
    pub(crate) fn account(&self) -> &str {
        account(&self.arn)
    }
}

/// The account number of an ARN, or zeros.
pub(crate) fn account(arn: &str) -> &str {
    arn.split(':')
        .nth(4)
        .filter(|a| !a.is_empty())
        .unwrap_or("000000000000")
}

/// The one region of ECR Public.
const PUBLIC_REGION: &str = "us-east-1";

/// Checks a signed request as AWS does: signed at all, scope, region, identity, session token, expiry.
pub(crate) fn authenticate(
    state: &State,
    protocol: Protocol,
    action: Action,
    scope: Option<&Scope>,
    session_token: Option<&str>,
) -> Result<Caller, Refusal> {
    let refuse = |json_code: &str, xml_code: &str, message: &str| match protocol {
        Protocol::Json => Refusal::bad(json_code, message),
        Protocol::Xml => Refusal::forbidden(xml_code, message),
    };
    let unrecognized = |message: &str| {
        refuse(
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            message,
        )
    };
    let Some(scope) = scope else {
        let message = "Missing Authentication Token";
        return Err(refuse(
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
            message,
        ));
    };
    if scope.service != action.service() {
        let message = format!(
            "Credential should be scoped to correct service: '{}'.",
            action.service()
        );
        return Err(refuse(
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            &message,
        ));
    }
    if !state.settings.regions.contains(&scope.region) {
        let message = format!(
            "The security token included in the request is invalid: no region '{}'.",
            scope.region
        );
        return Err(unrecognized(&message));
    }
    if action == Action::EcrPublicGetAuthorizationToken && scope.region != PUBLIC_REGION {
        let message = format!("The action isn't supported in this Region: use {PUBLIC_REGION}.");
        return Err(Refusal::bad("UnsupportedCommandException", message));
    }
    let invalid = "The security token included in the request is invalid.";
    let caller =
        Caller::behind(state, &scope.access_key_id).ok_or_else(|| unrecognized(invalid))?;
    match state.sessions.get(&scope.access_key_id) {
        Some(session) if session_token != Some(&session.token) => Err(unrecognized(invalid)),
        Some(session) if session.expires_at <= state.now() => {
            let message = "The security token included in the request is expired";
            Err(refuse("ExpiredTokenException", "ExpiredToken", message))
        }
        // A static key does not go with a session token.
        None if session_token.is_some() => Err(unrecognized(invalid)),
        _ => Ok(caller),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn scope(value: &str) -> Option<Scope> {
        Scope::of(&HeaderMap::from_iter([(
            "authorization".parse().unwrap(),
            value.parse().unwrap(),
        )]))
    }

    #[test]
    fn the_scope_is_read_wherever_the_credential_stands() {
        let expected = Scope {
            access_key_id: "AKIA".into(),
            region: "eu-west-1".into(),
            service: "ecr".into(),
        };
        let first = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/ecr/aws4_request, SignedHeaders=host, Signature=0";
        let last =
            "AWS4-HMAC-SHA256 Signature=0,Credential=AKIA/20260101/eu-west-1/ecr/aws4_request";
        assert_eq!(scope(first), Some(expected.clone()));
        assert_eq!(scope(last), Some(expected));
    }

    #[test]
    fn what_is_not_signed_with_sigv4_has_no_scope() {
        for value in [
            "Bearer x",
            "AWS4-HMAC-SHA256 Credential=AKIA/eu-west-1/ecr",
            "AWS4-HMAC-SHA256 Signature=0",
        ] {
            assert_eq!(scope(value), None, "{value}");
        }
        assert_eq!(Scope::of(&HeaderMap::new()), None);
    }

    #[test]
    fn the_account_is_the_fifth_part_of_an_arn() {
        assert_eq!(account("arn:aws:iam::123456789012:user/x"), "123456789012");
        assert_eq!(account("nonsense"), "000000000000");
    }
}
