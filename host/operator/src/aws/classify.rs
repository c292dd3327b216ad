//! What an error of the SDK means, and what to do about it.

use std::error::Error;

use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use ecr_secret_core::reason::Reason;

use super::problem::{Problem, one_line};
use super::region::looks_real;

/// The call that was made, for the message.
#[derive(Clone, Debug)]
pub(super) struct Step<'a> {
    /// The operation, for instance `GetAuthorizationToken`.
    pub(super) operation: &'static str,
    /// The region that was asked.
    pub(super) region: &'a str,
    /// The identity in words, without any secret.
    pub(super) identity: String,
    /// What gives the right to this call.
    pub(super) permission: &'static str,
    /// Whether the credentials are of a session that is replaced by itself.
    pub(super) renews: bool,
}

impl Step<'_> {
    /// A problem of this step: `what` happened, `remedy` says what to do.
    pub(super) fn problem(&self, reason: Reason, what: &str, remedy: &str) -> Problem {
        let Self {
            operation,
            region,
            identity,
            ..
        } = self;
        Problem::new(
            reason,
            format!("{operation} in {region} with {identity}: {what}; {remedy}"),
        )
    }
}

/// Turns an error of the SDK into a reason and a line of text.
pub(super) fn classify<E>(error: &SdkError<E, HttpResponse>, step: &Step<'_>) -> Problem
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::TimeoutError(_) => unreachable(step, "AWS did not answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            unreachable(step, "AWS did not answer in time")
        }
        SdkError::DispatchFailure(_) => {
            let text = innermost(error);
            if is_dns(&text) && !looks_real(step.region) {
                return step.problem(
                    Reason::InvalidRegion,
                    "no such AWS endpoint",
                    "correct the region",
                );
            }
            unreachable(
                step,
                &format!("AWS cannot be reached ({})", one_line(&text)),
            )
        }
        SdkError::ConstructionFailure(_) => {
            let what = format!(
                "no request could be built ({})",
                one_line(&innermost(error))
            );
            if looks_real(step.region) {
                let mut problem = step.problem(
                    Reason::AwsError,
                    &what,
                    "check the operator's AWS_* environment variables",
                );
                problem.waiting_helps = false;
                problem
            } else {
                step.problem(Reason::InvalidRegion, &what, "correct the region")
            }
        }
        other => {
            let status = other.raw_response().map_or(0, |raw| raw.status().as_u16());
            answered(step, status, other.code(), other.message())
        }
    }
}

fn unreachable(step: &Step<'_>, what: &str) -> Problem {
    step.problem(
        Reason::AwsUnreachable,
        what,
        "retried automatically; check the network, proxy and firewall between the operator and AWS",
    )
}

/// AWS answered, but not with what was asked for.
fn answered(step: &Step<'_>, status: u16, code: Option<&str>, message: Option<&str>) -> Problem {
    let reason = match reason_of(code, status, message.unwrap_or_default()) {
        // What AWS says of good credentials in a region that it does not know.
        Reason::CredentialsInvalid if is_unknown_identity(code) && !looks_real(step.region) => {
            Reason::InvalidRegion
        }
        reason => reason,
    };
    let name = code.map_or_else(|| format!("HTTP status {status}"), one_line);
    // AWS puts the canonical request, session token included, into messages about signatures.
    let detail = message
        .filter(|_| !name.contains("Signature"))
        .map(one_line)
        .filter(|text| !text.is_empty())
        .map_or_else(String::new, |text| format!(" ({text})"));
    let what = match reason {
        Reason::AwsAnswerInvalid => format!("the answer ({name}) is not understandable"),
        _ => format!("AWS answered {name}{detail}"),
    };
    let remedy = match reason {
        Reason::AccessDenied => step.permission,
        Reason::CredentialsInvalid => credentials_remedy(&name, step),
        Reason::InvalidRegion => "correct the region, or enable it for the account",
        Reason::Throttled => "retried automatically, slower",
        _ => "retried automatically",
    };
    let problem = step.problem(reason, &what, remedy);
    // A session that ended or was revoked is replaced at the next attempt.
    if reason == Reason::CredentialsInvalid && step.renews && step.operation.starts_with("GetAuth")
    {
        return problem.that_may_pass();
    }
    problem
}

fn is_unknown_identity(code: Option<&str>) -> bool {
    matches!(
        code,
        Some("UnrecognizedClientException" | "InvalidClientTokenId")
    )
}

fn credentials_remedy(code: &str, step: &Step<'_>) -> &'static str {
    if step.operation == "AssumeRoleWithWebIdentity" {
        "check the role's ARN, its trust policy (provider, audience, subject) and the projected token"
    } else if step.operation == "AssumeRole" {
        "check the role's ARN and the keys of the source profile"
    } else if code.contains("Signature") || code.contains("Skewed") {
        "check the secret access key, and the node's clock"
    } else if step.renews {
        "a new session is requested automatically"
    } else {
        "replace the access key in the Secret aws-ecr-cloud-credentials, or enable the region for the account"
    }
}

/// The reason that AWS' error code stands for, or the HTTP status when there is no known code.
fn reason_of(code: Option<&str>, status: u16, message: &str) -> Reason {
    match code.unwrap_or_default() {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "LimitExceededException"
        | "SlowDown" => Reason::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "OptInRequired"
        | "SubscriptionRequiredException" => Reason::AccessDenied,
        // The signature names a region that the endpoint does not know.
        "InvalidSignatureException" | "SignatureDoesNotMatch"
            if message.contains("valid region") =>
        {
            Reason::InvalidRegion
        }
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotSignedException"
        | "AuthFailure"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "InvalidIdentityToken"
        | "InvalidIdentityTokenException"
        | "IDPRejectedClaim"
        | "IdpRejectedClaimException"
        | "ValidationError" => Reason::CredentialsInvalid,
        "RegionDisabledException"
        | "InvalidRegion"
        | "InvalidRegionException"
        | "UnknownRegion" => Reason::InvalidRegion,
        _ => match status {
            200..=299 => Reason::AwsAnswerInvalid,
            401 | 403 => Reason::AccessDenied,
            429 => Reason::Throttled,
            _ => Reason::AwsError,
        },
    }
}

fn is_dns(text: &str) -> bool {
    [
        "dns error",
        "failed to lookup address",
        "Name or service not known",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

/// The texts of all causes, which the SDK's own `Display` leaves out.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Wrappers repeat what they wrap.
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::{HttpResponse, SdkError, Step, answered, classify, reason_of};
    use aws_sdk_ecr::operation::get_authorization_token::GetAuthorizationTokenError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use ecr_secret_core::reason::Reason;

    fn step(operation: &'static str, renews: bool) -> Step<'static> {
        Step {
            operation,
            region: "eu-west-1",
            identity: "access key …ABCD from the environment".to_owned(),
            permission: "allow ecr:GetAuthorizationToken",
            renews,
        }
    }

    #[test]
    fn codes_go_before_the_http_status_and_the_status_before_nothing() {
        for (code, status, reason) in [
            (Some("ThrottlingException"), 400, Reason::Throttled),
            (Some("RequestLimitExceeded"), 503, Reason::Throttled),
            (Some("AccessDeniedException"), 400, Reason::AccessDenied),
            (Some("AccessDenied"), 403, Reason::AccessDenied),
            (
                Some("InvalidClientTokenId"),
                403,
                Reason::CredentialsInvalid,
            ),
            (
                Some("UnrecognizedClientException"),
                400,
                Reason::CredentialsInvalid,
            ),
            (
                Some("ExpiredTokenException"),
                400,
                Reason::CredentialsInvalid,
            ),
            (
                Some("InvalidIdentityToken"),
                400,
                Reason::CredentialsInvalid,
            ),
            (Some("RegionDisabledException"), 403, Reason::InvalidRegion),
            (Some("ServerException"), 500, Reason::AwsError),
            (Some("NeverSeenBefore"), 400, Reason::AwsError),
            (None, 503, Reason::AwsError),
            (None, 429, Reason::Throttled),
            (None, 403, Reason::AccessDenied),
            (None, 200, Reason::AwsAnswerInvalid),
        ] {
            assert_eq!(reason_of(code, status, ""), reason, "{code:?} {status}");
        }
        let scope = "Credential should be scoped to a valid region.";
        assert_eq!(
            reason_of(Some("InvalidSignatureException"), 400, scope),
            Reason::InvalidRegion
        );
    }

    #[test]
    fn a_message_names_step_region_identity_code_and_remedy_in_one_line() {
        let problem = answered(
            &step("GetAuthorizationToken", false),
            400,
            Some("AccessDeniedException"),
            Some("User x is not\nauthorized"),
        );
        assert_eq!(
            problem.message,
            "GetAuthorizationToken in eu-west-1 with access key …ABCD from the environment: AWS answered AccessDeniedException (User x is not); allow ecr:GetAuthorizationToken"
        );
        assert!(!problem.waiting_helps);
    }

    #[test]
    fn a_message_about_a_signature_does_not_repeat_the_signed_request() {
        let text = "The Canonical String should have been x-amz-security-token:hidden";
        let problem = answered(
            &step("GetAuthorizationToken", false),
            403,
            Some("SignatureDoesNotMatch"),
            Some(text),
        );
        assert!(!problem.message.contains("hidden"), "{}", problem.message);
    }

    #[test]
    fn an_unknown_identity_in_an_invented_region_is_the_fault_of_the_region() {
        let mut step = step("GetAuthorizationToken", false);
        let code = Some("UnrecognizedClientException");
        assert_eq!(
            answered(&step, 400, code, None).reason,
            Reason::CredentialsInvalid
        );
        step.region = "xx-invalid-99";
        assert_eq!(
            answered(&step, 400, code, None).reason,
            Reason::InvalidRegion
        );
    }

    #[test]
    fn a_host_that_does_not_exist_is_the_fault_of_the_region_only_if_that_looks_invented() {
        let error = || -> SdkError<GetAuthorizationTokenError, HttpResponse> {
            let cause = std::io::Error::other("dns error: failed to lookup address information");
            SdkError::dispatch_failure(ConnectorError::io(cause.into()))
        };
        let mut step = step("GetAuthorizationToken", false);
        assert_eq!(classify(&error(), &step).reason, Reason::AwsUnreachable);
        step.region = "xx-invalid-99";
        let problem = classify(&error(), &step);
        assert_eq!(
            (problem.reason, problem.waiting_helps),
            (Reason::InvalidRegion, false)
        );
    }

    #[test]
    fn an_expired_session_passes_by_itself_and_an_expired_static_key_does_not() {
        let code = Some("ExpiredTokenException");
        assert!(answered(&step("GetAuthorizationToken", true), 400, code, None).waiting_helps);
        assert!(!answered(&step("GetAuthorizationToken", false), 400, code, None).waiting_helps);
        assert!(!answered(&step("AssumeRoleWithWebIdentity", true), 400, code, None).waiting_helps);
    }
}
