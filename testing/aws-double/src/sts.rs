//! STS: `AssumeRole`, `AssumeRoleWithWebIdentity` and `GetCallerIdentity`.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::auth::{Caller, account};
use crate::config::Role;
use crate::state::{Session, State, later};
use crate::token::noise;
use crate::web_identity::claims;
use crate::wire::{Refusal, element, like, sts_response};

/// The form fields of a request.
pub(crate) type Params = HashMap<String, String>;

/// `GetCallerIdentity`: whoever is known may ask.
pub(crate) fn caller_identity(caller: &Caller, request_id: &str) -> String {
    let result = element("Arn", &caller.arn)
        + &element("UserId", "AIDADOUBLEUSER")
        + &element("Account", caller.account());
    sts_response("GetCallerIdentity", &result, request_id)
}

/// `AssumeRole`: the role must trust the caller, and know the external id if it wants one.
pub(crate) fn assume_role(
    state: &mut State,
    caller: &Caller,
    params: &Params,
    request_id: &str,
) -> Result<String, Refusal> {
    let arn = required(params, "RoleArn")?;
    let name = session_name(params)?;
    let denied = || {
        let user = &caller.arn;
        let message =
            format!("User: {user} is not authorized to perform: sts:AssumeRole on resource: {arn}");
        Refusal::forbidden("AccessDenied", message)
    };
    let role = state.roles.get(arn).ok_or_else(denied)?.clone();
    let names = [Some(&caller.arn), caller.role.as_ref()];
    let trusted = role
        .principals
        .iter()
        .any(|p| names.iter().flatten().any(|name| like(p, name)));
    if !trusted
        || (role.external_id.is_some() && role.external_id.as_ref() != params.get("ExternalId"))
    {
        return Err(denied());
    }
    let life = session_life(&role, params)?;
    if caller.role.is_some() && life > SignedDuration::from_hours(1) {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(Refusal::bad("ValidationError", message));
    }
    let result = open_session(state, &role, name, life);
    Ok(sts_response("AssumeRole", &result, request_id))
}

/// `AssumeRoleWithWebIdentity`: unsigned; the role must trust the token's audience and subject.
pub(crate) fn assume_role_with_web_identity(
    state: &mut State,
    params: &Params,
    request_id: &str,
) -> Result<String, Refusal> {
    let arn = required(params, "RoleArn")?;
    let name = session_name(params)?;
    let claims = claims(required(params, "WebIdentityToken")?)?;
    if claims.exp <= seconds(state.now()) {
        let message = format!(
            "Token expired: current date/time {} must be before the expiration date/time",
            state.now()
        );
        return Err(Refusal::bad("ExpiredTokenException", message));
    }
    let denied = || {
        Refusal::forbidden(
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        )
    };
    let role = state.roles.get(arn).ok_or_else(denied)?.clone();
    let audience = claims
        .aud
        .allowed(&role.audiences)
        .ok_or_else(|| Refusal::bad("InvalidIdentityToken", "Incorrect token audience"))?;
    if !role.subjects.iter().any(|s| like(s, &claims.sub)) {
        return Err(denied());
    }
    let life = session_life(&role, params)?;
    let mut result = open_session(state, &role, name, life);
    result += &element("SubjectFromWebIdentityToken", &claims.sub);
    result += &element("Audience", audience);
    result += &element("Provider", &claims.iss);
    Ok(sts_response(
        "AssumeRoleWithWebIdentity",
        &result,
        request_id,
    ))
}

fn required<'a>(params: &'a Params, name: &str) -> Result<&'a str, Refusal> {
    params
        .get(name)
        .map(String::as_str)
        .filter(|v| !v.is_empty())
        .ok_or_else(|| {
            Refusal::bad(
                "ValidationError",
                format!("1 validation error detected: Value at '{name}' must not be null"),
            )
        })
}

fn session_name(params: &Params) -> Result<&str, Refusal> {
    let name = required(params, "RoleSessionName")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if (2..=64).contains(&name.len()) && name.chars().all(plain) {
        return Ok(name);
    }
    let message = format!(
        "Value '{name}' at 'roleSessionName' must have 2 to 64 characters of A-Z a-z 0-9 _+=,.@-"
    );
    Err(Refusal::bad("ValidationError", message))
}

/// How long the caller may have the session.
fn session_life(role: &Role, params: &Params) -> Result<SignedDuration, Refusal> {
    let invalid = |message: &str| Refusal::bad("ValidationError", message);
    let seconds: u64 = match params.get("DurationSeconds") {
        None => 3600,
        Some(text) => text
            .parse()
            .map_err(|_| invalid("DurationSeconds must be a whole number of seconds"))?,
    };
    if seconds < 900 {
        return Err(invalid(
            "Value at 'durationSeconds' must have value greater than or equal to 900",
        ));
    }
    if seconds > role.max_session_seconds {
        return Err(invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(i64::try_from(seconds).map_or(SignedDuration::MAX, SignedDuration::from_secs))
}

/// Issues temporary credentials and describes them in XML.
fn open_session(state: &mut State, role: &Role, name: &str, asked: SignedDuration) -> String {
    state.sessions_issued += 1;
    let number = state.sessions_issued;
    let set = state
        .settings
        .session_life
        .map(|life| SignedDuration::try_from(life).unwrap_or(SignedDuration::MAX));
    let partition = role.arn.split(':').nth(1).unwrap_or("aws");
    let short = role.arn.rsplit('/').next().unwrap_or_default();
    let session = Session {
        arn: format!(
            "arn:{partition}:sts::{}:assumed-role/{short}/{name}",
            account(&role.arn)
        ),
        role: role.arn.clone(),
        token: format!("double-session-{number}-{}", noise(number, 300)),
        expires_at: later(state.now(), set.unwrap_or(asked)),
    };
    let access_key_id = format!("ASIADOUBLE{number:010}");
    let credentials = element("AccessKeyId", &access_key_id)
        + &element("SecretAccessKey", &noise(number ^ u64::MAX, 40))
        + &element("SessionToken", &session.token)
        + &element("Expiration", &session.expires_at.to_string());
    let user =
        element("AssumedRoleId", &format!("AROADOUBLEROLE:{name}")) + &element("Arn", &session.arn);
    state.sessions.insert(access_key_id, session);
    format!("<Credentials>{credentials}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>")
}

#[allow(
    clippy::cast_precision_loss,
    reason = "milliseconds of all times that occur fit into 53 bits"
)]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
