//! The AWS SDK pointed at a double, as the operator points it: by its endpoint, with nothing else bent.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_double::{AwsDouble, DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY};
use aws_sdk_ecr::config::Credentials;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecr::operation::get_authorization_token::{
    GetAuthorizationTokenError, GetAuthorizationTokenOutput,
};
use base64::Engine as _;

pub(crate) fn static_key() -> Credentials {
    key(DEFAULT_ACCESS_KEY_ID)
}

pub(crate) fn key(access_key_id: &str) -> Credentials {
    Credentials::new(access_key_id, DEFAULT_SECRET_ACCESS_KEY, None, None, "test")
}

/// One attempt only, so that a test counts what it caused.
pub(crate) async fn config(endpoint: &str, region: &str, credentials: Credentials) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

pub(crate) async fn ecr(double: &AwsDouble, region: &str) -> aws_sdk_ecr::Client {
    aws_sdk_ecr::Client::new(&config(&double.endpoint(), region, static_key()).await)
}

pub(crate) async fn ecr_as(
    double: &AwsDouble,
    region: &str,
    credentials: Credentials,
) -> aws_sdk_ecr::Client {
    aws_sdk_ecr::Client::new(&config(&double.endpoint(), region, credentials).await)
}

pub(crate) async fn public(double: &AwsDouble, region: &str) -> aws_sdk_ecrpublic::Client {
    aws_sdk_ecrpublic::Client::new(&config(&double.endpoint(), region, static_key()).await)
}

pub(crate) async fn sts(double: &AwsDouble, credentials: Credentials) -> aws_sdk_sts::Client {
    aws_sdk_sts::Client::new(&config(&double.endpoint(), "eu-west-1", credentials).await)
}

/// An ECR client that gives up after a moment.
pub(crate) async fn impatient(double: &AwsDouble) -> aws_sdk_ecr::Client {
    let timeout = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(250))
        .build();
    let config = config(&double.endpoint(), "eu-west-1", static_key()).await;
    aws_sdk_ecr::Client::new(&config.into_builder().timeout_config(timeout).build())
}

pub(crate) type EcrResult =
    Result<GetAuthorizationTokenOutput, SdkError<GetAuthorizationTokenError>>;

/// The code, the HTTP status and the message of an error that the service answered.
pub(crate) fn refusal<E: ProvideErrorMetadata>(
    error: &SdkError<E, aws_sdk_ecr::config::http::HttpResponse>,
) -> (String, u16, String) {
    let SdkError::ServiceError(context) = error else {
        panic!("not an answer of the service")
    };
    let error = context.err();
    let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
    (
        text(error.code()),
        context.raw().status().as_u16(),
        text(error.message()),
    )
}

/// The token, decoded.
pub(crate) fn decoded(output: &GetAuthorizationTokenOutput) -> String {
    let token = output.authorization_data()[0]
        .authorization_token()
        .unwrap();
    String::from_utf8(
        base64::engine::general_purpose::STANDARD
            .decode(token)
            .unwrap(),
    )
    .unwrap()
}
