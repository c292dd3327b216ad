//! Which AWS identity the operator has: a pure decision from the environment and two files.
//!
//! The order is the one of the SDK's default chain: keys in the environment, the profile files, web
//! identity from the environment, the container's endpoint, the instance's metadata. It is decided
//! here and not by the SDK because the SDK reads a profile once and for ever, and because a refusal
//! must be able to name the file and the setting.

use std::fmt;

use ecr_secret_core::reason::Reason;
use sha2::{Digest, Sha256};

use super::chain::{from_profiles, session_name, text};
use super::environment::Environment;
use super::problem::Problem;
use super::profile::{FileKind, Profiles, unquote};

/// Where OpenShift projects the operator's token for AWS.
pub(super) const OPENSHIFT_TOKEN: &str = "/var/run/secrets/openshift/serviceaccount/token";

const CREATE_SECRET: &str = "create the Secret aws-ecr-cloud-credentials in the operator's namespace, or give the operator a role";

/// What was found in one profile file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FileContent {
    pub(super) path: String,
    /// The text; none when the file does not exist; an error that says why it cannot be read.
    pub(super) text: Result<Option<String>, String>,
}

/// The two profile files as they are now.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) config: Option<FileContent>,
    pub(super) credentials: Option<FileContent>,
}

/// An access key. `Debug` shows the end of its id only.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) session: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, [redacted])", id_hint(&self.id))
    }
}

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An access key from the environment or a file.
    Static { keys: Keys, origin: String },
    /// `AssumeRoleWithWebIdentity` with the token in a file, which is read anew each time.
    WebIdentity {
        role_arn: String,
        token_file: String,
        session_name: String,
    },
    /// `AssumeRole` with the credentials of another source.
    Assume {
        base: Box<Source>,
        role_arn: String,
        external_id: Option<String>,
        session_name: String,
    },
    /// The container's credentials endpoint: ECS and EKS Pod Identity.
    Container,
    /// The instance's metadata service.
    Instance,
}

impl Source {
    /// The identity in words, without any secret: for messages.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Static { keys, origin } => {
                format!("access key {} from {origin}", id_hint(&keys.id))
            }
            Self::WebIdentity { role_arn, .. } | Self::Assume { role_arn, .. } => {
                format!("role {role_arn}")
            }
            Self::Container => "the container's role".to_owned(),
            Self::Instance => "the instance's role".to_owned(),
        }
    }

    /// Whether the credentials end and can be had anew, so that a refusal of them may pass.
    pub(super) fn renews(&self) -> bool {
        !matches!(self, Self::Static { .. })
    }
}

/// The identity and the settings that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) source: Source,
    /// The region of the environment or the profile: STS is called there.
    pub(super) home_region: Option<String>,
    pub(super) use_fips: bool,
    pub(super) use_dual_stack: bool,
    /// What to say when the source turns out to have nothing: every place that was looked at.
    pub(super) missing: Problem,
}

/// A digest of all that the identity depends on. Equal digests mean that nothing has changed.
pub(super) fn fingerprint(files: &Files) -> [u8; 32] {
    let mut hash = Sha256::new();
    for file in [&files.config, &files.credentials].into_iter().flatten() {
        let (tag, text) = match &file.text {
            Ok(Some(text)) => ("text", text.as_str()),
            Ok(None) => ("none", ""),
            Err(why) => ("error", why.as_str()),
        };
        for part in [file.path.as_str(), tag, text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

/// The profile files' paths: from the environment, else where every AWS tool looks.
pub(super) fn file_paths(environment: &Environment) -> [Option<String>; 2] {
    [
        ("AWS_CONFIG_FILE", "config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ]
    .map(|(variable, name)| {
        let home = || Some(format!("{}/.aws/{name}", environment.get("HOME")?));
        environment.get(variable).map(str::to_owned).or_else(home)
    })
}

/// Decides which identity the operator has.
///
/// # Errors
/// `CredentialsMissing` when nothing tells of one; `CredentialsInvalid` when something does that
/// cannot work. Waiting helps in neither case, a change of the files does.
pub(super) fn resolve(
    environment: &Environment,
    files: &Files,
    openshift_token: &str,
) -> Result<Identity, Problem> {
    check_retry_settings(
        environment.get("AWS_MAX_ATTEMPTS"),
        environment.get("AWS_RETRY_MODE"),
        |name| format!("the environment variable AWS_{}", name.to_uppercase()),
    )?;
    // A broken file does not matter to keys in the environment, as with the SDK.
    let profiles = parse(files);
    let name = environment.get("AWS_PROFILE").unwrap_or("default");
    let profile = profiles.as_ref().ok().and_then(|all| all.get(name));
    let setting = |key: &str| profile.and_then(|found| text(found, key));
    if let Some(found) = profile {
        let file = |key: &str| found.get(key).map_or("", |value| &*value.file);
        check_retry_settings(
            text(found, "max_attempts"),
            text(found, "retry_mode"),
            |key| format!("the setting {key} of the profile {name} in {}", file(key)),
        )?;
    }
    let source = match from_environment(environment) {
        Some(source) => source,
        None => from_profiles(environment, profiles.as_ref(), name)?
            .or_else(|| web_identity(environment, openshift_token))
            .or_else(|| container(environment))
            .or_else(|| instance(environment))
            .ok_or_else(|| missing(environment, files))?,
    };
    let is_true = |variable: &str, key: &str| {
        environment.is_true(variable)
            || (environment.get(variable).is_none()
                && setting(key).is_some_and(|value| value.eq_ignore_ascii_case("true")))
    };
    Ok(Identity {
        source,
        home_region: environment
            .get("AWS_REGION")
            .or_else(|| environment.get("AWS_DEFAULT_REGION"))
            .or_else(|| setting("region"))
            .map(str::to_owned),
        use_fips: is_true("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
        use_dual_stack: is_true("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
        missing: missing(environment, files),
    })
}

fn parse(files: &Files) -> Result<Profiles, Problem> {
    let mut profiles = Profiles::default();
    for (file, kind) in [
        (&files.config, FileKind::Config),
        (&files.credentials, FileKind::Credentials),
    ] {
        let Some(file) = file else { continue };
        match &file.text {
            Ok(Some(text)) => profiles
                .read(text, &file.path, kind)
                .map_err(|error| invalid(format!("AWS profile file {error}")))?,
            Ok(None) => {}
            Err(why) => {
                let path = &file.path;
                return Err(invalid(format!(
                    "AWS profile file {path} cannot be read: {why}; mount it readable for the operator"
                )));
            }
        }
    }
    Ok(profiles)
}

/// Refuses what makes other AWS tools, and the SDK's own loader, end the process.
///
/// The broker sets its own retries and would not use the values; a file with such a value is broken
/// all the same, and saying so is better than working until another tool reads it.
fn check_retry_settings(
    attempts: Option<&str>,
    mode: Option<&str>,
    place: impl Fn(&str) -> String,
) -> Result<(), Problem> {
    if attempts.is_some_and(|value| value.parse::<u32>().ok().is_none_or(|number| number == 0)) {
        let place = place("max_attempts");
        return Err(invalid(format!(
            "{place} is not a number of attempts; set a whole number of at least 1, or remove it"
        )));
    }
    let known = ["standard", "adaptive", "legacy"];
    if mode.is_some_and(|value| !known.iter().any(|known| value.eq_ignore_ascii_case(known))) {
        let place = place("retry_mode");
        return Err(invalid(format!(
            "{place} is not a retry mode; set standard, or remove it"
        )));
    }
    Ok(())
}

/// An access key in the environment.
pub(super) fn from_environment(environment: &Environment) -> Option<Source> {
    let id = unquote(environment.get("AWS_ACCESS_KEY_ID")?);
    let secret = unquote(environment.get("AWS_SECRET_ACCESS_KEY")?);
    Some(Source::Static {
        keys: Keys {
            id: id.to_owned(),
            secret: secret.to_owned(),
            session: environment.get("AWS_SESSION_TOKEN").map(str::to_owned),
        },
        origin: "the environment".to_owned(),
    })
}

/// Web identity from the environment: the names of EKS, or `ROLEARN` of OpenShift's token flow.
fn web_identity(environment: &Environment, openshift_token: &str) -> Option<Source> {
    let token_file = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE");
    let (role_arn, token_file) = match (environment.get("AWS_ROLE_ARN"), token_file) {
        (Some(role_arn), Some(token_file)) => (role_arn, token_file),
        (Some(_), None) => return None,
        (None, token_file) => (
            environment.get("ROLEARN")?,
            token_file.unwrap_or(openshift_token),
        ),
    };
    Some(Source::WebIdentity {
        role_arn: role_arn.to_owned(),
        token_file: token_file.to_owned(),
        session_name: session_name(environment, None),
    })
}

fn container(environment: &Environment) -> Option<Source> {
    let full = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    full.or(relative).map(|_| Source::Container)
}

fn instance(environment: &Environment) -> Option<Source> {
    (!environment.is_true("AWS_EC2_METADATA_DISABLED")).then_some(Source::Instance)
}

/// The last four characters of an access key id: enough to tell keys apart, of no use alone.
fn id_hint(id: &str) -> String {
    let tail: Vec<char> = id.chars().rev().take(4).collect();
    format!("…{}", tail.into_iter().rev().collect::<String>())
}

/// A refusal of what an administrator has set.
pub(super) fn invalid(message: String) -> Problem {
    Problem::new(Reason::CredentialsInvalid, message)
}

/// The message for an operator that has no identity at all, with all places where one could be.
fn missing(environment: &Environment, files: &Files) -> Problem {
    let half = |have: &str, lack: &str| {
        (environment.get(have).is_some() && environment.get(lack).is_none())
            .then(|| format!("{have} is set without {lack}; "))
    };
    let half = half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        .or_else(|| half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"))
        .or_else(|| half("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"))
        .unwrap_or_default();
    let paths: Vec<&str> = [&files.config, &files.credentials]
        .into_iter()
        .flatten()
        .map(|file| file.path.as_str())
        .collect();
    Problem::new(
        Reason::CredentialsMissing,
        format!(
            "no AWS credentials found: {half}not in the environment, not in {}, no web identity, no container or instance role; {CREATE_SECRET}",
            if paths.is_empty() {
                "a profile file".to_owned()
            } else {
                paths.join(" or ")
            }
        ),
    )
}
