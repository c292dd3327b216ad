//! The source of credentials that a profile describes, which may be a chain of profiles.

use super::environment::Environment;
use super::identity::{Keys, Source, from_environment, invalid};
use super::problem::Problem;
use super::profile::{Profile, Profiles, Value};

/// The source that the profile `name` describes; none when there is no such profile, nor asked for.
///
/// # Errors
/// When the profile cannot work, or needs something that the operator does not do.
pub(super) fn from_profiles(
    environment: &Environment,
    profiles: Result<&Profiles, &Problem>,
    name: &str,
) -> Result<Option<Source>, Problem> {
    let profiles = profiles.map_err(Problem::clone)?;
    if profiles.get(name).is_none() {
        if environment.get("AWS_PROFILE").is_none() {
            return Ok(None);
        }
        return Err(invalid(format!(
            "AWS_PROFILE names the profile {name}, which no AWS profile file has; add it or unset AWS_PROFILE"
        )));
    }
    from_profile(environment, profiles, name, &mut Vec::new())
}

/// The source that a profile describes; none when it describes none.
fn from_profile(
    environment: &Environment,
    profiles: &Profiles,
    name: &str,
    visited: &mut Vec<String>,
) -> Result<Option<Source>, Problem> {
    let refuse = |what: &str| Err(invalid(format!("AWS profile {name} {what}")));
    let Some(profile) = profiles.get(name) else {
        return refuse("is named as a source_profile but no AWS profile file has it; add it");
    };
    if visited.iter().any(|seen| seen == name) {
        return refuse(
            "is its own source through source_profile; let the chain end in a profile with keys",
        );
    }
    let chained = !visited.is_empty();
    visited.push(name.to_owned());
    if chained && let Some(source) = static_keys(profile, name)? {
        return Ok(Some(source));
    }
    let role = text(profile, "role_arn");
    let session_name = session_name(environment, text(profile, "role_session_name"));
    match (role, text(profile, "web_identity_token_file")) {
        (Some(role_arn), Some(token_file)) => {
            return Ok(Some(Source::WebIdentity {
                role_arn: role_arn.to_owned(),
                token_file: token_file.to_owned(),
                session_name,
            }));
        }
        (None, Some(_)) => {
            return refuse("has web_identity_token_file but no role_arn; add the ARN of the role");
        }
        _ => {}
    }
    let named = text(profile, "credential_source");
    let Some(role_arn) = role else {
        return match named {
            Some(named) => named_source(environment, named, name).map(Some),
            None => {
                refuse_what_needs_a_program(profile, name).and_then(|()| static_keys(profile, name))
            }
        };
    };
    let base = match (text(profile, "source_profile"), named) {
        (Some(_), Some(_)) => {
            return refuse("has both source_profile and credential_source; remove one");
        }
        (None, None) => {
            return refuse(
                "has role_arn but neither web_identity_token_file nor source_profile; add one of them",
            );
        }
        (None, Some(named)) => named_source(environment, named, name)?,
        (Some(source), None) => {
            let found = if source == name {
                static_keys(profile, name)?
            } else {
                from_profile(environment, profiles, source, visited)?
            };
            match found {
                Some(found) => found,
                None => return refuse("has a source_profile without credentials; add keys there"),
            }
        }
    };
    Ok(Some(Source::Assume {
        base: Box::new(base),
        role_arn: role_arn.to_owned(),
        external_id: text(profile, "external_id").map(str::to_owned),
        session_name,
    }))
}

fn static_keys(profile: &Profile, name: &str) -> Result<Option<Source>, Problem> {
    match (
        profile.get("aws_access_key_id"),
        profile.get("aws_secret_access_key"),
    ) {
        (Some(id), Some(secret)) if !id.text.is_empty() && !secret.text.is_empty() => {
            let session = text(profile, "aws_session_token").map(str::to_owned);
            Ok(Some(Source::Static {
                keys: Keys {
                    id: id.text.clone(),
                    secret: secret.text.clone(),
                    session,
                },
                origin: format!("{}, profile {name}", id.file),
            }))
        }
        (None, None) => Ok(None),
        (Some(Value { file, .. }), _) | (None, Some(Value { file, .. })) => Err(invalid(format!(
            "AWS profile {name} in {file} needs both aws_access_key_id and aws_secret_access_key; add the missing one"
        ))),
    }
}

/// SSO, login sessions and programs are not built in: a file must not be able to start a program.
fn refuse_what_needs_a_program(profile: &Profile, name: &str) -> Result<(), Problem> {
    let forbidden = |key: &&String| {
        key.starts_with("sso_") || *key == "credential_process" || *key == "login_session"
    };
    match profile.keys().find(forbidden) {
        None => Ok(()),
        Some(key) => Err(invalid(format!(
            "AWS profile {name} uses {key}, which the operator does not support; use access keys, or role_arn with web_identity_token_file"
        ))),
    }
}

fn named_source(environment: &Environment, named: &str, name: &str) -> Result<Source, Problem> {
    if named.eq_ignore_ascii_case("Ec2InstanceMetadata") {
        Ok(Source::Instance)
    } else if named.eq_ignore_ascii_case("EcsContainer") {
        Ok(Source::Container)
    } else if named.eq_ignore_ascii_case("Environment") {
        from_environment(environment).ok_or_else(|| {
            invalid(format!(
                "AWS profile {name} takes its keys from the environment, which has none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ))
        })
    } else {
        Err(invalid(format!(
            "AWS profile {name} has an unknown credential_source; use Environment, EcsContainer or Ec2InstanceMetadata"
        )))
    }
}

/// The name of a session, as it appears in logs of AWS.
pub(super) fn session_name(environment: &Environment, of_profile: Option<&str>) -> String {
    of_profile
        .or_else(|| environment.get("AWS_ROLE_SESSION_NAME"))
        .unwrap_or("ecr-secret-operator")
        .to_owned()
}

/// The setting's text; none when it is not there or empty.
pub(super) fn text<'a>(profile: &'a Profile, key: &str) -> Option<&'a str> {
    profile
        .get(key)
        .map(|value| value.text.as_str())
        .filter(|text| !text.is_empty())
}
