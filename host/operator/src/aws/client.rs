//! The two calls of ECR, on SDK clients that take nothing from the environment by themselves.
//!
//! A client is built for each call: calls are rare (one per region in many hours) and a client has
//! no state worth keeping. The connections below are shared.

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use ecr_secret_core::reason::Reason;
use ecr_secret_core::registry::RegistryKind;

use super::answer::Entry;
use super::classify::{Step, classify};
use super::environment::Environment;
use super::identity::Identity;
use super::problem::Problem;
use super::{Timeouts, TokenKey};

/// ECR Public lives in this region only.
pub(super) const PUBLIC_REGION: &str = "us-east-1";

/// The services that are called; each has its own variable for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Ecr,
    EcrPublic,
    Sts,
}

/// Makes SDK configurations and holds the connections to AWS.
#[derive(Clone, Debug)]
pub(super) struct Aws {
    http: SharedHttpClient,
    timeouts: TimeoutConfig,
    environment: Environment,
}

impl Aws {
    /// Prepares connections; nothing is opened yet.
    ///
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the process are obeyed.
    pub(super) fn new(environment: Environment, timeouts: Timeouts) -> Self {
        let connector = SharedHttpConnector::new(
            Connector::builder()
                .connector_settings(
                    HttpConnectorSettings::builder()
                        .connect_timeout(timeouts.connect)
                        .read_timeout(timeouts.attempt)
                        .build(),
                )
                .proxy_config(ProxyConfig::from_env())
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build(),
        );
        Self {
            http: http_client_fn(move |_, _| connector.clone()),
            timeouts: TimeoutConfig::builder()
                .connect_timeout(timeouts.connect)
                .read_timeout(timeouts.attempt)
                .operation_attempt_timeout(timeouts.attempt)
                .operation_timeout(timeouts.operation)
                .build(),
            environment,
        }
    }

    /// The HTTP client, for the SDK's providers of container and instance credentials.
    pub(super) fn http(&self) -> SharedHttpClient {
        self.http.clone()
    }

    /// The time limits of one call.
    pub(super) fn timeouts(&self) -> TimeoutConfig {
        self.timeouts.clone()
    }

    /// The environment that the broker was started with.
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The configuration of a client. Every setting that the SDK would look for itself is given.
    ///
    /// # Errors
    /// When an endpoint in the environment is not a URL.
    pub(super) fn config(
        &self,
        service: Service,
        region: &str,
        identity: &Identity,
        credentials: Option<Credentials>,
    ) -> Result<SdkConfig, Problem> {
        let mut builder = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .http_client(self.http.clone())
            .timeout_config(self.timeouts.clone())
            // The broker backs off over all askers; retries below it would only multiply calls.
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .use_fips(identity.use_fips)
            .use_dual_stack(identity.use_dual_stack);
        builder.set_endpoint_url(self.endpoint(service)?);
        builder.set_credentials_provider(credentials.map(SharedCredentialsProvider::new));
        Ok(builder.build())
    }

    /// An endpoint comes from the operator's environment only: one from a resource would let a
    /// tenant send signed requests where it likes.
    fn endpoint(&self, service: Service) -> Result<Option<String>, Problem> {
        if self
            .environment
            .is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        {
            return Ok(None);
        }
        let own = match service {
            Service::Ecr => "AWS_ENDPOINT_URL_ECR",
            Service::EcrPublic => "AWS_ENDPOINT_URL_ECR_PUBLIC",
            Service::Sts => "AWS_ENDPOINT_URL_STS",
        };
        for variable in [own, "AWS_ENDPOINT_URL"] {
            let Some(url) = self.environment.get(variable) else {
                continue;
            };
            if url.starts_with("https://") || url.starts_with("http://") {
                return Ok(Some(url.to_owned()));
            }
            let mut problem = Problem::new(
                Reason::AwsUnreachable,
                format!(
                    "the environment variable {variable} is not a URL; start it with https:// or unset it"
                ),
            );
            problem.waiting_helps = false;
            return Err(problem);
        }
        Ok(None)
    }

    /// Asks STS who this is: an ARN. It needs no permission.
    ///
    /// # Errors
    /// What the SDK's error means, see [`classify`].
    pub(super) async fn caller(
        &self,
        region: &str,
        identity: &Identity,
        credentials: Credentials,
    ) -> Result<String, Problem> {
        let step = Step {
            operation: "GetCallerIdentity",
            region,
            identity: identity.source.hint(),
            permission: "every identity may ask, so a policy of the organization stands against it",
            renews: identity.source.renews(),
        };
        let config = self.config(Service::Sts, region, identity, Some(credentials))?;
        let answer = aws_sdk_sts::Client::new(&config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| classify(&error, &step))?;
        Ok(answer.arn.unwrap_or_else(|| "AWS tells no ARN".to_owned()))
    }

    /// Asks ECR or ECR Public for a token.
    ///
    /// # Errors
    /// What the SDK's error means, see [`classify`].
    pub(super) async fn authorization(
        &self,
        key: &TokenKey,
        identity: &Identity,
        credentials: Credentials,
    ) -> Result<Vec<Entry>, Problem> {
        let step = step(key, identity);
        match key.kind {
            RegistryKind::Private => {
                let config = self.config(Service::Ecr, &key.region, identity, Some(credentials))?;
                let answer = aws_sdk_ecr::Client::new(&config)
                    .get_authorization_token()
                    .send()
                    .await
                    .map_err(|error| classify(&error, &step))?;
                Ok(answer
                    .authorization_data
                    .unwrap_or_default()
                    .into_iter()
                    .map(|data| Entry {
                        expires_at: data.expires_at.map(|at| (at.secs(), at.subsec_nanos())),
                        token: data.authorization_token,
                    })
                    .collect())
            }
            RegistryKind::Public => {
                let config = self.config(
                    Service::EcrPublic,
                    PUBLIC_REGION,
                    identity,
                    Some(credentials),
                )?;
                let answer = aws_sdk_ecrpublic::Client::new(&config)
                    .get_authorization_token()
                    .send()
                    .await
                    .map_err(|error| classify(&error, &step))?;
                Ok(answer
                    .authorization_data
                    .into_iter()
                    .map(|data| Entry {
                        expires_at: data.expires_at.map(|at| (at.secs(), at.subsec_nanos())),
                        token: data.authorization_token,
                    })
                    .collect())
            }
        }
    }
}

/// How the call for a key is named in messages.
pub(super) fn step<'a>(key: &'a TokenKey, identity: &Identity) -> Step<'a> {
    let public = key.kind == RegistryKind::Public;
    Step {
        operation: "GetAuthorizationToken",
        region: if public { PUBLIC_REGION } else { &key.region },
        identity: identity.source.hint(),
        permission: if public {
            "allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken to this identity"
        } else {
            "allow ecr:GetAuthorizationToken to this identity"
        },
        renews: identity.source.renews(),
    }
}
