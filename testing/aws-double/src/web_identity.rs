//! Reads the claims of a web identity token. Its signature and issuer are not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::wire::Refusal;

/// The claims that a role's trust is about.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    /// Who may take the token.
    pub(crate) aud: Audience,
    /// Whom the token stands for.
    pub(crate) sub: String,
    /// Seconds since 1970, with fractions.
    pub(crate) exp: f64,
    /// Only repeated in the answer.
    #[serde(default)]
    pub(crate) iss: String,
}

/// One audience, or several: both occur.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// The first audience that is allowed.
    pub(crate) fn allowed(&self, allowed: &[String]) -> Option<&str> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        };
        all.iter().find(|a| allowed.contains(a)).map(String::as_str)
    }
}

/// Decodes a JWT.
pub(crate) fn claims(token: &str) -> Result<Claims, Refusal> {
    let invalid = |what: &str| Refusal::bad("InvalidIdentityToken", what);
    let [_, payload, _] = token.split('.').collect::<Vec<_>>()[..] else {
        return Err(invalid(
            "The ID Token provided is not a valid JWT: it has no three parts.",
        ));
    };
    let payload = URL_SAFE_NO_PAD
        .decode(payload.trim_end_matches('='))
        .map_err(|_| {
            invalid("The ID Token provided is not a valid JWT: its second part is not base64url.")
        })?;
    serde_json::from_slice(&payload).map_err(|_| {
        invalid("The ID Token provided is not a valid JWT: it needs the claims aud, sub and exp.")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn one_audience_and_several_are_both_read() {
        let allowed = ["sts.amazonaws.com".to_owned()];
        for aud in [r#""sts.amazonaws.com""#, r#"["other","sts.amazonaws.com"]"#] {
            let claims = claims(&jwt(&format!(r#"{{"aud":{aud},"sub":"s","exp":1}}"#))).unwrap();
            assert_eq!(claims.aud.allowed(&allowed), Some("sts.amazonaws.com"));
        }
    }

    #[test]
    fn what_is_no_jwt_or_lacks_a_claim_is_an_invalid_identity_token() {
        for token in [
            "garbage",
            "a.b",
            "a.%.c",
            &jwt("{}"),
            &jwt(r#"{"aud":"a","sub":"s"}"#),
            &jwt("[]"),
        ] {
            assert_eq!(
                claims(token).unwrap_err().code,
                "InvalidIdentityToken",
                "{token}"
            );
        }
    }
}
