//! From an identity to credentials that sign a request, kept until shortly before their end.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use ecr_secret_core::reason::Reason;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::classify::{Step, classify, innermost};
use super::client::{Aws, Service};
use super::identity::{Identity, Source};
use super::problem::{Problem, one_line};
use super::region::partition;

/// Credentials that end sooner than this are replaced before they are used.
const MARGIN: Duration = Duration::from_mins(1);

/// The instance's metadata service answers at once or not at all.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(1);

type Slot = Arc<tokio::sync::Mutex<Kept>>;

/// What the last call for credentials brought.
#[derive(Default)]
struct Kept {
    credentials: Option<Credentials>,
    /// When the last call that failed was begun, and why it failed.
    failed: Option<(Instant, Problem)>,
}

/// One identity and the credentials that were had for it, one set for each region of STS.
pub(super) struct Session {
    pub(super) identity: Result<Identity, Problem>,
    slots: Mutex<HashMap<String, Slot>>,
}

impl Session {
    pub(super) fn new(identity: Result<Identity, Problem>) -> Self {
        Self {
            identity,
            slots: Mutex::default(),
        }
    }

    /// Credentials for calls in `region`, had anew only when the last ones are near their end.
    ///
    /// # Errors
    /// Why there are none, see [`load`].
    pub(super) async fn credentials(
        &self,
        aws: &Aws,
        identity: &Identity,
        region: &str,
    ) -> Result<Credentials, Problem> {
        let sts_region = sts_region(identity, region);
        let slot = self.slot(sts_region);
        let asked = Instant::now();
        // Held during the call, so that keys of many regions share one call of STS.
        let mut kept = slot.lock().await;
        if let Some(credentials) = &kept.credentials {
            let fresh_until = SystemTime::now() + MARGIN;
            if credentials.expiry().is_none_or(|end| end > fresh_until) {
                return Ok(credentials.clone());
            }
        }
        // Nor does everybody who waited here wait for a time-out of their own.
        if let Some((begun, problem)) = &kept.failed
            && *begun >= asked
        {
            return Err(problem.clone());
        }
        let begun = Instant::now();
        let loaded = load(aws, identity, &identity.source, sts_region).await;
        *kept = match &loaded {
            Ok(credentials) => Kept {
                credentials: Some(credentials.clone()),
                failed: None,
            },
            Err(problem) => Kept {
                credentials: None,
                failed: Some((begun, problem.clone())),
            },
        };
        loaded
    }

    /// Forgets the credentials, after AWS refused them.
    pub(super) async fn forget(&self, identity: &Identity, region: &str) {
        self.slot(sts_region(identity, region))
            .lock()
            .await
            .credentials = None;
    }

    fn slot(&self, region: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(region.to_owned()).or_default())
    }
}

/// Where STS is called: at home, unless home is in another partition than the region.
fn sts_region<'a>(identity: &'a Identity, region: &'a str) -> &'a str {
    match &identity.home_region {
        Some(home) if partition(home) == partition(region) => home,
        _ => region,
    }
}

/// Gets credentials from a source.
///
/// # Errors
/// `CredentialsMissing` when the source has none; `CredentialsInvalid` when it cannot be used; else
/// what STS or the network answered.
fn load<'a>(
    aws: &'a Aws,
    identity: &'a Identity,
    source: &'a Source,
    region: &'a str,
) -> BoxFuture<'a, Result<Credentials, Problem>> {
    async move {
        match source {
            Source::Static { keys, .. } => Ok(Credentials::new(
                keys.id.clone(),
                keys.secret.clone(),
                keys.session.clone(),
                None,
                "static",
            )),
            Source::WebIdentity {
                role_arn,
                token_file,
                session_name,
            } => {
                let token = read_token(token_file).await?;
                let step = sts_step("AssumeRoleWithWebIdentity", region, source);
                let config = aws.config(Service::Sts, region, identity, None)?;
                let answer = aws_sdk_sts::Client::new(&config)
                    .assume_role_with_web_identity()
                    .role_arn(role_arn)
                    .role_session_name(session_name)
                    .web_identity_token(token)
                    .send()
                    .await
                    .map_err(|error| classify(&error, &step))?;
                from_sts(answer.credentials, &step)
            }
            Source::Assume {
                base,
                role_arn,
                external_id,
                session_name,
            } => {
                let base = load(aws, identity, base, region).await?;
                let step = sts_step("AssumeRole", region, source);
                let config = aws.config(Service::Sts, region, identity, Some(base))?;
                let answer = aws_sdk_sts::Client::new(&config)
                    .assume_role()
                    .role_arn(role_arn)
                    .role_session_name(session_name)
                    .set_external_id(external_id.clone())
                    .send()
                    .await
                    .map_err(|error| classify(&error, &step))?;
                from_sts(answer.credentials, &step)
            }
            Source::Container => from_container(aws, identity).await,
            Source::Instance => from_instance(aws, identity).await,
        }
    }
    .boxed()
}

fn sts_step<'a>(operation: &'static str, region: &'a str, source: &Source) -> Step<'a> {
    Step {
        operation,
        region,
        identity: source.hint(),
        permission: "let the role's trust policy admit this identity, and check the role's ARN",
        renews: true,
    }
}

/// Reads the projected token, anew for each call, as kubelet replaces it every hour.
async fn read_token(path: &str) -> Result<String, Problem> {
    let broken = |what: &str| {
        Problem::new(
            Reason::CredentialsInvalid,
            format!(
                "web identity token file {path} {what}; project a service account token with the audience of the role's trust"
            ),
        )
    };
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| broken(&format!("cannot be read ({})", error.kind())))?;
    match text.trim() {
        "" => Err(broken("is empty")),
        token => Ok(token.to_owned()),
    }
}

fn from_sts(
    answer: Option<aws_sdk_sts::types::Credentials>,
    step: &Step<'_>,
) -> Result<Credentials, Problem> {
    let invalid = |what| step.problem(Reason::AwsAnswerInvalid, what, "retried automatically");
    let found = answer.ok_or_else(|| invalid("the answer has no credentials"))?;
    let end = SystemTime::try_from(found.expiration)
        .map_err(|_| invalid("the credentials' expiration is not a time"))?;
    if end <= SystemTime::now() {
        return Err(invalid("the credentials have expired already"));
    }
    Ok(Credentials::new(
        found.access_key_id,
        found.secret_access_key,
        Some(found.session_token),
        Some(end),
        "sts",
    ))
}

fn provider_config(aws: &Aws) -> ProviderConfig {
    ProviderConfig::without_region()
        .with_http_client(aws.http())
        .with_timeout_config(aws.timeouts())
        .with_retry_config(RetryConfig::disabled())
}

async fn from_container(aws: &Aws, identity: &Identity) -> Result<Credentials, Problem> {
    let environment = aws.environment();
    // The SDK ends the process on some values that are no URLs.
    let full = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    if let Some((variable, form)) = match (relative, full) {
        (Some(path), _) if !path.starts_with('/') || path.starts_with("//") => {
            Some(("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "a path"))
        }
        (None, Some(url)) if !url.starts_with("http://") && !url.starts_with("https://") => {
            Some(("AWS_CONTAINER_CREDENTIALS_FULL_URI", "a URL"))
        }
        _ => None,
    } {
        return Err(Problem::new(
            Reason::CredentialsInvalid,
            format!("the environment variable {variable} is not {form}; correct or unset it"),
        ));
    }
    let place = "the container's credentials endpoint";
    let provider = EcsCredentialsProvider::builder()
        .configure(&provider_config(aws))
        .build();
    // The provider tries three times whatever its configuration says.
    let patience = aws.timeouts().operation_timeout().unwrap_or(MARGIN);
    match tokio::time::timeout(patience, provider.provide_credentials()).await {
        Ok(answer) => answer.map_err(|error| local(place, &error, identity)),
        Err(_) => Err(Problem::new(
            Reason::AwsUnreachable,
            format!("{place} did not answer in time; retried automatically"),
        )),
    }
}

async fn from_instance(aws: &Aws, identity: &Identity) -> Result<Credentials, Problem> {
    let mut client = imds::Client::builder()
        .configure(&provider_config(aws))
        .max_attempts(1)
        .connect_timeout(INSTANCE_PATIENCE)
        .read_timeout(INSTANCE_PATIENCE)
        .operation_attempt_timeout(INSTANCE_PATIENCE)
        .operation_timeout(INSTANCE_PATIENCE);
    let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    if let Some(endpoint) = aws.environment().get(variable) {
        client = client.endpoint(endpoint).map_err(|_| {
            Problem::new(
                Reason::CredentialsInvalid,
                format!("the environment variable {variable} is not a URL; correct or unset it"),
            )
        })?;
    }
    ImdsCredentialsProvider::builder()
        .configure(&provider_config(aws))
        .imds_client(client.build())
        .build()
        .provide_credentials()
        .await
        .map_err(|error| local("the instance's metadata service", &error, identity))
}

/// A failure of a source on the node itself. An instance that does not answer is the usual case of a
/// cluster that is not on AWS, so then there are no credentials at all.
fn local(place: &str, error: &CredentialsError, identity: &Identity) -> Problem {
    let timed_out = matches!(error, CredentialsError::ProviderTimedOut(_));
    let instance = identity.source == Source::Instance;
    match error {
        CredentialsError::CredentialsNotLoaded(_) => identity.missing.clone(),
        _ if instance && (timed_out || nobody_there(error)) => identity.missing.clone(),
        CredentialsError::InvalidConfiguration(_) => Problem::new(
            Reason::CredentialsInvalid,
            format!(
                "{place} cannot be used ({}); check the role of the pod or node",
                one_line(&innermost(error))
            ),
        ),
        _ => Problem::new(
            Reason::AwsUnreachable,
            format!(
                "{place} gave no credentials ({}); retried automatically",
                one_line(&innermost(error))
            ),
        ),
    }
}

/// Whether the cause is that nothing answers at the address.
fn nobody_there(error: &dyn Error) -> bool {
    let text = innermost(error);
    [
        "timed out",
        "timeout",
        "dispatch failure",
        "refused",
        "unreachable",
        "error trying to connect",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}
