//! ECR and ECR Public: `GetAuthorizationToken`, with the faults that bend its answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::fault::Fault;
use crate::ledger::Action;
use crate::state::{State, later};
use crate::token::{Issued, password};
use crate::wire::Refusal;

/// A good answer's body, and the number of the authorization token in it.
#[derive(Clone, Debug)]
pub(crate) struct Good {
    pub(crate) body: String,
    pub(crate) token: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    #[serde(default)]
    registry_ids: Vec<String>,
}

/// Answers one call; `bend` spoils the answer.
pub(crate) fn authorization_token(
    state: &mut State,
    action: Action,
    caller: &Caller,
    region: &str,
    body: &[u8],
    bend: Option<&Fault>,
) -> Result<Good, Refusal> {
    let registries = registries(caller, body)?;
    let private = action == Action::EcrGetAuthorizationToken;
    if matches!(bend, Some(Fault::EmptyAuthorizationData)) {
        let body = if private {
            json!({ "authorizationData": [] })
        } else {
            json!({})
        };
        return Ok(Good {
            body: body.to_string(),
            token: None,
        });
    }
    state.tokens_issued += 1;
    let now = state.now();
    let life = SignedDuration::try_from(state.settings.token_life).unwrap_or(SignedDuration::MAX);
    let issued = Issued {
        number: state.tokens_issued,
        service: action.service().into(),
        region: region.into(),
        identity: caller.arn.clone(),
        issued_at: now,
        expires_at: later(now, life),
    };
    let secret = password(&issued, state.settings.password_bytes);
    let data = |registry: &str| {
        let mut data = Map::new();
        data.insert("authorizationToken".into(), encoded(&secret, bend).into());
        match bend {
            Some(Fault::MissingExpiresAt) => None,
            Some(Fault::AlreadyExpired) => data.insert(
                "expiresAt".into(),
                epoch_seconds(later(now, SignedDuration::from_hours(-1))),
            ),
            _ => data.insert("expiresAt".into(), epoch_seconds(issued.expires_at)),
        };
        if private {
            let suffix = if region.starts_with("cn-") {
                "amazonaws.com.cn"
            } else {
                "amazonaws.com"
            };
            data.insert(
                "proxyEndpoint".into(),
                format!("https://{registry}.dkr.ecr.{region}.{suffix}").into(),
            );
        }
        Value::Object(data)
    };
    let body = if private {
        json!({ "authorizationData": registries.iter().map(|r| data(r)).collect::<Vec<_>>() })
    } else {
        json!({ "authorizationData": data(caller.account()) })
    };
    Ok(Good {
        body: body.to_string(),
        token: Some(issued.number),
    })
}

/// The registries that are asked for: those of the (deprecated) argument, else the caller's.
fn registries(caller: &Caller, body: &[u8]) -> Result<Vec<String>, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    let input: Input = serde_json::from_slice(body).map_err(|_| {
        Refusal::bad(
            "SerializationException",
            "The request body is not what the action takes.",
        )
    })?;
    let valid = |id: &String| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
    if let Some(wrong) = input.registry_ids.iter().find(|id| !valid(id)) {
        let message = format!(
            "Invalid parameter at 'registryIds': '{wrong}' is not an account id of 12 digits."
        );
        return Err(Refusal::bad("InvalidParameterException", message));
    }
    if input.registry_ids.is_empty() {
        Ok(vec![caller.account().to_owned()])
    } else {
        Ok(input.registry_ids)
    }
}

fn encoded(password: &str, bend: Option<&Fault>) -> String {
    match bend {
        Some(Fault::TokenNotBase64) => format!("!{password}"),
        Some(Fault::TokenWithoutColon) => STANDARD.encode(password),
        _ => STANDARD.encode(format!("AWS:{password}")),
    }
}

/// Seconds since 1970 with milliseconds, as ECR writes times.
fn epoch_seconds(time: Timestamp) -> Value {
    #[allow(
        clippy::cast_precision_loss,
        reason = "milliseconds of all times that occur fit into 53 bits"
    )]
    let seconds = time.as_millisecond() as f64 / 1000.0;
    json!(seconds)
}
