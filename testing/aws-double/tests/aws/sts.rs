use std::time::Duration;

use aws_double::{Action, AwsDouble, Fault, FaultRule, Role, SettingsChange};
use aws_sdk_sts::config::Credentials;
use aws_sdk_sts::operation::assume_role_with_web_identity::{
    AssumeRoleWithWebIdentityError, AssumeRoleWithWebIdentityOutput,
};
use aws_sdk_sts::types::Credentials as Issued;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::sdk::{ecr_as, key, refusal, static_key, sts};

const ROLE: &str = "arn:aws:iam::123456789012:role/path/ecr";
const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/ecr/test-session";
const SUBJECT: &str =
    "system:serviceaccount:ecr-secret-operator:ecr-secret-operator-controller-manager";

fn jwt(audience: &str, subject: &str, expires: i64) -> String {
    let payload = serde_json::json!({ "iss": "https://nobody.asks", "aud": [audience], "sub": subject, "exp": expires });
    format!(
        "e30.{}.bm8tc2lnbmF0dXJl",
        URL_SAFE_NO_PAD.encode(payload.to_string())
    )
}

fn in_an_hour() -> i64 {
    jiff::Timestamp::now().as_second() + 3600
}

async fn double() -> AwsDouble {
    let double = AwsDouble::start().await;
    double.add_role(Role::new(ROLE).trust_web_identity("openshift", SUBJECT));
    double
}

type WebResult = Result<
    AssumeRoleWithWebIdentityOutput,
    aws_sdk_sts::error::SdkError<AssumeRoleWithWebIdentityError>,
>;

async fn web(double: &AwsDouble, role: &str, token: String) -> WebResult {
    let client = sts(double, static_key()).await;
    let call = client
        .assume_role_with_web_identity()
        .role_arn(role)
        .role_session_name("test-session");
    call.web_identity_token(token).send().await
}

fn usable(issued: &Issued) -> Credentials {
    let token = Some(issued.session_token().to_owned());
    Credentials::new(
        issued.access_key_id(),
        issued.secret_access_key(),
        token,
        None,
        "sts",
    )
}

#[tokio::test]
async fn a_trusted_token_gives_credentials_that_ecr_takes_until_they_expire() {
    let double = double().await;
    let output = web(&double, ROLE, jwt("openshift", SUBJECT, in_an_hour()))
        .await
        .unwrap();
    let issued = output.credentials().unwrap();
    assert!(issued.access_key_id().starts_with("ASIA"));
    let life = issued.expiration().secs() - jiff::Timestamp::now().as_second();
    assert!((3590..=3600).contains(&life), "{life}");
    assert_eq!(output.assumed_role_user().unwrap().arn(), SESSION);
    assert_eq!(output.subject_from_web_identity_token(), Some(SUBJECT));
    assert_eq!(output.audience(), Some("openshift"));

    let client = ecr_as(&double, "eu-west-1", usable(issued)).await;
    client.get_authorization_token().send().await.unwrap();
    assert_eq!(
        double
            .counts()
            .exactly(Action::EcrGetAuthorizationToken, "eu-west-1", SESSION),
        1
    );
    assert_eq!(
        double
            .counts()
            .exactly(Action::AssumeRoleWithWebIdentity, "-", ROLE),
        1
    );

    double.advance_clock(Duration::from_secs(3601));
    let (code, status, _) = refusal(&client.get_authorization_token().send().await.unwrap_err());
    assert_eq!((code.as_str(), status), ("ExpiredTokenException", 400));
    let client = sts(&double, usable(issued)).await;
    let (code, status, _) = refusal(&client.get_caller_identity().send().await.unwrap_err());
    assert_eq!((code.as_str(), status), ("ExpiredToken", 403));
}

#[tokio::test]
async fn a_web_identity_call_carries_no_signature() {
    let double = double().await;
    web(&double, ROLE, jwt("openshift", SUBJECT, in_an_hour()))
        .await
        .unwrap();
    assert_eq!(
        double.calls()[0].region,
        "-",
        "a signed call would tell its region"
    );
}

#[tokio::test]
async fn a_wrong_audience_is_an_invalid_identity_token() {
    let double = double().await;
    let error = web(
        &double,
        ROLE,
        jwt("sts.amazonaws.com", SUBJECT, in_an_hour()),
    )
    .await
    .unwrap_err();
    let (code, status, message) = refusal(&error);
    assert_eq!(
        (code.as_str(), status, message.as_str()),
        ("InvalidIdentityToken", 400, "Incorrect token audience")
    );
    let error = error.into_service_error();
    assert!(
        matches!(
            error,
            AssumeRoleWithWebIdentityError::InvalidIdentityTokenException(_)
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_no_jwt_is_an_invalid_identity_token() {
    let error = web(&double().await, ROLE, "garbage".into())
        .await
        .unwrap_err()
        .into_service_error();
    assert!(
        matches!(
            error,
            AssumeRoleWithWebIdentityError::InvalidIdentityTokenException(_)
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_wrong_subject_and_an_unknown_role_are_denied_alike() {
    let double = double().await;
    let wrong_subject = web(
        &double,
        ROLE,
        jwt(
            "openshift",
            "system:serviceaccount:other:other",
            in_an_hour(),
        ),
    )
    .await;
    let unknown_role = web(
        &double,
        "arn:aws:iam::123456789012:role/none",
        jwt("openshift", SUBJECT, in_an_hour()),
    )
    .await;
    for result in [wrong_subject, unknown_role] {
        let (code, status, message) = refusal(&result.unwrap_err());
        assert_eq!((code.as_str(), status), ("AccessDenied", 403));
        assert_eq!(
            message,
            "Not authorized to perform sts:AssumeRoleWithWebIdentity"
        );
    }
}

#[tokio::test]
async fn a_token_expires_by_the_double_s_clock() {
    let double = double().await;
    let token = jwt("openshift", SUBJECT, in_an_hour());
    web(&double, ROLE, token.clone()).await.unwrap();
    double.advance_clock(Duration::from_secs(3601));
    let error = web(&double, ROLE, token).await.unwrap_err();
    assert_eq!(refusal(&error).1, 400);
    let error = error.into_service_error();
    assert!(
        matches!(
            error,
            AssumeRoleWithWebIdentityError::ExpiredTokenException(_)
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_role_is_assumed_by_those_it_trusts_and_nobody_else() {
    let double = double().await;
    double.add_role(Role::new(ROLE).trust_principal("arn:aws:iam::123456789012:user/double"));
    double.add_static_identity("AKIAOTHER", "arn:aws:iam::123456789012:user/other");
    let assume = async |credentials| {
        sts(&double, credentials)
            .await
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("test-session")
            .send()
            .await
    };
    let output = assume(static_key()).await.unwrap();
    let client = sts(&double, usable(output.credentials().unwrap())).await;
    let identity = client.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some(SESSION));
    assert_eq!(identity.account(), Some("123456789012"));
    let (code, status, message) = refusal(&assume(key("AKIAOTHER")).await.unwrap_err());
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
    assert!(
        message.contains("user/other") && message.contains(ROLE),
        "{message}"
    );
}

#[tokio::test]
async fn a_role_that_wants_an_external_id_is_not_assumed_without_it() {
    let double = double().await;
    let role = Role {
        external_id: Some("42".into()),
        ..Role::new(ROLE).trust_principal("*")
    };
    double.add_role(role);
    let client = sts(&double, static_key()).await;
    let call = || {
        client
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("test-session")
    };
    assert_eq!(refusal(&call().send().await.unwrap_err()).0, "AccessDenied");
    assert_eq!(
        refusal(&call().external_id("41").send().await.unwrap_err()).0,
        "AccessDenied"
    );
    call().external_id("42").send().await.unwrap();
}

#[tokio::test]
async fn a_chained_session_lasts_an_hour_at_most() {
    let double = double().await;
    let second = "arn:aws:iam::123456789012:role/second";
    double.add_role(Role {
        max_session_seconds: 43_200,
        ..Role::new(second)
            .trust_principal(ROLE)
            .trust_principal("*:user/*")
    });
    let first = web(&double, ROLE, jwt("openshift", SUBJECT, in_an_hour()))
        .await
        .unwrap();
    let chained = sts(&double, usable(first.credentials().unwrap())).await;
    let ask = |client: &aws_sdk_sts::Client, seconds| {
        client
            .assume_role()
            .role_arn(second)
            .role_session_name("test-session")
            .duration_seconds(seconds)
            .send()
    };
    ask(&chained, 3600).await.unwrap();
    let (code, status, message) = refusal(&ask(&chained, 3601).await.unwrap_err());
    assert_eq!((code.as_str(), status), ("ValidationError", 400));
    assert!(message.contains("role chaining"), "{message}");
    ask(&sts(&double, static_key()).await, 3601).await.unwrap();
}

#[tokio::test]
async fn a_session_is_neither_shorter_than_15_minutes_nor_longer_than_its_role_allows() {
    let double = double().await;
    double.add_role(Role::new(ROLE).trust_principal("*"));
    let client = sts(&double, static_key()).await;
    for seconds in [899, 3601] {
        let call = client
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("test-session")
            .duration_seconds(seconds);
        assert_eq!(
            refusal(&call.send().await.unwrap_err()).0,
            "ValidationError",
            "{seconds}"
        );
    }
}

#[tokio::test]
async fn the_life_of_sessions_can_be_set_below_what_aws_allows() {
    let double = double().await;
    double.change_settings(SettingsChange {
        session_life: Some(Duration::from_millis(1500)),
        ..SettingsChange::default()
    });
    let output = web(&double, ROLE, jwt("openshift", SUBJECT, in_an_hour()))
        .await
        .unwrap();
    let credentials = usable(output.credentials().unwrap());
    double.advance_clock(Duration::from_millis(1500));
    let client = ecr_as(&double, "eu-west-1", credentials).await;
    assert_eq!(
        refusal(&client.get_authorization_token().send().await.unwrap_err()).0,
        "ExpiredTokenException"
    );
}

#[tokio::test]
async fn temporary_credentials_are_worth_nothing_without_their_session_token() {
    let double = double().await;
    let output = web(&double, ROLE, jwt("openshift", SUBJECT, in_an_hour()))
        .await
        .unwrap();
    let stripped = key(output.credentials().unwrap().access_key_id());
    let client = ecr_as(&double, "eu-west-1", stripped).await;
    let error = client.get_authorization_token().send().await.unwrap_err();
    assert_eq!(refusal(&error).0, "UnrecognizedClientException");
}

#[tokio::test]
async fn an_unknown_key_and_an_unknown_region_are_refused_by_sts_as_xml() {
    let double = double().await;
    let client = sts(&double, key("AKIAWHOISTHIS")).await;
    let (code, status, _) = refusal(&client.get_caller_identity().send().await.unwrap_err());
    assert_eq!((code.as_str(), status), ("InvalidClientTokenId", 403));
    double.change_settings(SettingsChange {
        regions: Some([].into()),
        ..SettingsChange::default()
    });
    let client = sts(&double, static_key()).await;
    let (code, status, message) = refusal(&client.get_caller_identity().send().await.unwrap_err());
    assert_eq!((code.as_str(), status), ("InvalidClientTokenId", 403));
    assert!(message.contains("eu-west-1"), "{message}");
}

#[tokio::test]
async fn a_fault_for_a_role_touches_its_web_identity_calls_and_its_sessions() {
    let double = double().await;
    let token = || jwt("openshift", SUBJECT, in_an_hour());
    let output = web(&double, ROLE, token()).await.unwrap();
    double.set_fault(FaultRule::from(Fault::Throttle).identity(ROLE));
    assert_eq!(
        refusal(&web(&double, ROLE, token()).await.unwrap_err()).0,
        "Throttling"
    );
    let client = ecr_as(&double, "eu-west-1", usable(output.credentials().unwrap())).await;
    assert_eq!(
        refusal(&client.get_authorization_token().send().await.unwrap_err()).0,
        "ThrottlingException"
    );
    let client = ecr_as(&double, "eu-west-1", static_key()).await;
    client.get_authorization_token().send().await.unwrap();
}
