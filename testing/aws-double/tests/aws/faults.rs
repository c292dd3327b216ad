use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_double::{Action, AwsDouble, DEFAULT_IDENTITY_ARN, Fault, FaultRule};
use aws_sdk_ecr::error::SdkError;
use aws_sdk_ecr::operation::get_authorization_token::GetAuthorizationTokenError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::sdk::{EcrResult, config, decoded, ecr, impatient, public, refusal, static_key, sts};

const ACTION: Action = Action::EcrGetAuthorizationToken;

/// One ECR call to a fresh double with this fault, and what the log says of it.
async fn under(fault: Fault) -> (EcrResult, String) {
    let double = AwsDouble::start().await;
    double.set_fault(fault);
    let result = ecr(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await;
    let outcome = double.calls()[0].outcome.clone();
    assert_eq!(double.counts().answered(ACTION), u64::from(outcome == "ok"));
    (result, outcome)
}

#[tokio::test]
async fn throttling_is_http_400_with_the_code_that_the_sdk_retries() {
    let (result, outcome) = under(Fault::Throttle).await;
    let (code, status, message) = refusal(&result.unwrap_err());
    assert_eq!(
        (code.as_str(), status, message.as_str()),
        ("ThrottlingException", 400, "Rate exceeded")
    );
    assert_eq!(outcome, "ThrottlingException");
}

#[tokio::test]
async fn the_sdk_gets_over_two_throttled_calls_by_itself() {
    let double = AwsDouble::start().await;
    double.set_fault(FaultRule::from(Fault::Throttle).times(2));
    let retry = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let config = config(&double.endpoint(), "eu-west-1", static_key())
        .await
        .into_builder()
        .retry_config(retry)
        .build();
    aws_sdk_ecr::Client::new(&config)
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    assert_eq!(
        (double.counts().of(ACTION), double.counts().answered(ACTION)),
        (3, 1)
    );
    assert!(double.faults().is_empty(), "the rule is used up");
}

#[tokio::test]
async fn above_a_rate_only_the_burst_goes_through() {
    let double = AwsDouble::start().await;
    double.set_fault(Fault::ThrottleAbove {
        per_second: 0.0,
        burst: 3,
    });
    let client = ecr(&double, "eu-west-1").await;
    for _ in 0..3 {
        client.get_authorization_token().send().await.unwrap();
    }
    let error = client.get_authorization_token().send().await.unwrap_err();
    assert_eq!(refusal(&error).0, "ThrottlingException");
}

#[tokio::test]
async fn a_server_error_has_the_status_asked_for() {
    let (result, _) = under(Fault::ServerError { status: 503 }).await;
    let error = result.unwrap_err();
    assert_eq!(refusal(&error).1, 503);
    assert!(matches!(
        error.into_service_error(),
        GetAuthorizationTokenError::ServerException(_)
    ));
}

#[tokio::test]
async fn any_error_can_be_asked_for() {
    let (result, outcome) = under(Fault::Error {
        status: 418,
        code: "TeapotException".into(),
        message: "short and stout".into(),
    })
    .await;
    assert_eq!(
        refusal(&result.unwrap_err()),
        ("TeapotException".into(), 418, "short and stout".into())
    );
    assert_eq!(outcome, "TeapotException");
}

#[tokio::test]
async fn access_denied_is_http_400_json_at_ecr_and_http_403_xml_at_sts() {
    let (result, _) = under(Fault::AccessDenied).await;
    let (code, status, _) = refusal(&result.unwrap_err());
    assert_eq!((code.as_str(), status), ("AccessDeniedException", 400));

    let double = AwsDouble::start().await;
    double.set_fault(Fault::AccessDenied);
    let error = sts(&double, static_key())
        .await
        .get_caller_identity()
        .send()
        .await
        .unwrap_err();
    let (code, status, _) = refusal(&error);
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
}

#[tokio::test]
async fn throttling_and_server_errors_of_sts_are_xml() {
    let double = AwsDouble::start().await;
    let client = sts(&double, static_key()).await;
    double.set_fault(FaultRule::from(Fault::Throttle).times(1));
    let (code, status, _) = refusal(&client.get_caller_identity().send().await.unwrap_err());
    assert_eq!((code.as_str(), status), ("Throttling", 400));
    double.set_fault(Fault::ServerError { status: 500 });
    let (code, status, _) = refusal(&client.get_caller_identity().send().await.unwrap_err());
    assert_eq!((code.as_str(), status), ("InternalFailure", 500));
}

#[tokio::test]
async fn a_hanging_call_gets_no_answer_and_the_next_one_is_good_when_the_fault_is_gone() {
    let double = AwsDouble::start().await;
    let id = double.set_fault(Fault::Hang);
    let client = impatient(&double).await;
    let error = client.get_authorization_token().send().await.unwrap_err();
    assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
    assert_eq!(double.calls()[0].outcome, "unanswered");
    assert!(double.clear_fault(id));
    ecr(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_reset_connection_is_a_dispatch_failure_and_not_an_answer() {
    let (result, outcome) = under(Fault::Reset).await;
    let error = result.unwrap_err();
    let SdkError::DispatchFailure(failure) = &error else {
        panic!("{error:?}")
    };
    assert!(failure.is_io() && !failure.is_timeout(), "{failure:?}");
    assert_eq!(outcome, "reset");
}

#[tokio::test]
async fn a_reset_is_a_tcp_reset() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let double = AwsDouble::start().await;
    double.set_fault(Fault::Reset);
    let mut stream = tokio::net::TcpStream::connect(double.address())
        .await
        .unwrap();
    let body = "Action=GetCallerIdentity";
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let error = stream.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn garbage_and_truncated_bodies_do_not_parse() {
    for (fault, name) in [(Fault::Garbage, "garbage"), (Fault::Truncated, "truncated")] {
        let (result, outcome) = under(fault).await;
        let error = result.unwrap_err();
        assert!(
            matches!(
                error,
                SdkError::ResponseError(_) | SdkError::ServiceError(_)
            ),
            "{error:?}"
        );
        assert_eq!(error.raw_response().map(|r| r.status().as_u16()), Some(200));
        assert_eq!(outcome, name);
    }
}

#[tokio::test]
async fn garbage_of_sts_does_not_parse_and_a_truncated_answer_lacks_its_end() {
    let double = AwsDouble::start().await;
    let client = sts(&double, static_key()).await;
    double.set_fault(FaultRule::from(Fault::Garbage).times(1));
    assert!(client.get_caller_identity().send().await.is_err());
    double.set_fault(FaultRule::from(Fault::Truncated).times(1));
    // The SDK forgives XML that ends early: what is left of it counts.
    let whole = client
        .get_caller_identity()
        .send()
        .await
        .map(|output| output.account().is_some());
    assert!(!whole.unwrap_or(false));
    assert!(
        client
            .get_caller_identity()
            .send()
            .await
            .unwrap()
            .account()
            .is_some()
    );
}

#[tokio::test]
async fn the_list_of_tokens_can_be_empty() {
    let (result, outcome) = under(Fault::EmptyAuthorizationData).await;
    assert_eq!(result.unwrap().authorization_data(), []);
    assert_eq!(outcome, "empty_authorization_data");

    let double = AwsDouble::start().await;
    double.set_fault(Fault::EmptyAuthorizationData);
    let output = public(&double, "us-east-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    assert!(output.authorization_data().is_none());
}

#[tokio::test]
async fn a_token_can_lack_its_colon() {
    let (result, _) = under(Fault::TokenWithoutColon).await;
    assert!(!decoded(&result.unwrap()).contains(':'));
}

#[tokio::test]
async fn a_token_can_be_no_base64() {
    let (result, _) = under(Fault::TokenNotBase64).await;
    let output = result.unwrap();
    assert!(
        STANDARD
            .decode(
                output.authorization_data()[0]
                    .authorization_token()
                    .unwrap()
            )
            .is_err()
    );
}

#[tokio::test]
async fn a_token_can_have_expired_already_or_not_say_when() {
    let (result, outcome) = under(Fault::AlreadyExpired).await;
    let expired = result.unwrap().authorization_data()[0]
        .expires_at()
        .unwrap()
        .secs();
    assert!(expired < jiff::Timestamp::now().as_second());
    assert_eq!(outcome, "already_expired");
    let (result, _) = under(Fault::MissingExpiresAt).await;
    let output = result.unwrap();
    assert!(output.authorization_data()[0].expires_at().is_none());
    assert!(
        output.authorization_data()[0]
            .authorization_token()
            .is_some()
    );
}

#[tokio::test]
async fn latency_comes_before_the_answer_and_before_another_fault() {
    let double = AwsDouble::start().await;
    double.set_fault(Fault::Latency { ms: 60 });
    let client = ecr(&double, "eu-west-1").await;
    let start = Instant::now();
    client.get_authorization_token().send().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(60));
    double.set_fault(Fault::Throttle);
    let start = Instant::now();
    assert_eq!(
        refusal(&client.get_authorization_token().send().await.unwrap_err()).0,
        "ThrottlingException"
    );
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_fault_touches_only_the_region_the_action_and_the_identity_that_it_names() {
    let double = AwsDouble::start().await;
    let rule = FaultRule::from(Fault::Throttle)
        .region("eu-west-1")
        .action(ACTION)
        .identity(DEFAULT_IDENTITY_ARN);
    double.set_fault(rule);
    double.set_fault(
        FaultRule::from(Fault::Throttle).identity("arn:aws:iam::123456789012:user/other"),
    );
    ecr(&double, "us-east-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    public(&double, "us-east-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    sts(&double, static_key())
        .await
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert!(
        ecr(&double, "eu-west-1")
            .await
            .get_authorization_token()
            .send()
            .await
            .is_err()
    );
    double.clear_faults();
    ecr(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
}
