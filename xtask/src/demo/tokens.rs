//! Reads which token a Secret holds.

use aws_double::Issued;
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

/// The token in a registry Secret, when AWS, which is the double here, has issued it.
pub(super) fn token(secret: &Secret) -> Option<Issued> {
    let config = &secret.data.as_ref()?.get(".dockerconfigjson")?.0;
    let config: Value = serde_json::from_slice(config).ok()?;
    let registry = config["auths"].as_object()?.values().next()?;
    aws_double::issued(registry["password"].as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use std::collections::BTreeMap;

    #[test]
    fn a_password_that_aws_did_not_issue_is_no_token() {
        for text in ["", "{}", r#"{"auths":{"a":{"password":"hunter2"}}}"#] {
            let data = BTreeMap::from([(
                ".dockerconfigjson".to_owned(),
                ByteString(text.as_bytes().to_vec()),
            )]);
            let secret = Secret {
                data: Some(data),
                ..Secret::default()
            };
            assert_eq!(token(&secret), None, "{text}");
        }
    }
}
