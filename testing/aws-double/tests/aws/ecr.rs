use std::time::Duration;

use aws_double::{
    Action, AwsDouble, DEFAULT_ACCESS_KEY_ID, DEFAULT_IDENTITY_ARN, SettingsChange, issued,
};
use aws_sdk_ecr::operation::get_authorization_token::GetAuthorizationTokenError;
use aws_sdk_ecrpublic::operation::get_authorization_token::GetAuthorizationTokenError as PublicError;
use base64::Engine as _;
use jiff::Timestamp;

use crate::sdk::{decoded, ecr, ecr_as, key, public, refusal};

/// The wire carries a binary fraction of milliseconds, so the last digit may be one off.
fn assert_same_time(told: &aws_sdk_ecr::primitives::DateTime, meant: Timestamp) {
    let off = told.to_millis().unwrap() - meant.as_millisecond();
    assert!((-1..=1).contains(&off), "{told} is not {meant}");
}

#[tokio::test]
async fn a_token_decodes_to_user_aws_and_a_password_of_realistic_length() {
    let double = AwsDouble::start().await;
    let output = ecr(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    let token = decoded(&output);
    let password = token.strip_prefix("AWS:").unwrap();
    assert!((1800..2700).contains(&password.len()), "{}", password.len());
    let data = &output.authorization_data()[0];
    assert_eq!(output.authorization_data().len(), 1);
    assert_eq!(
        data.proxy_endpoint(),
        Some("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com")
    );
    let origin = issued(password).unwrap();
    assert_eq!((origin.number, origin.region.as_str()), (1, "eu-west-1"));
    assert_eq!(
        (origin.service.as_str(), origin.identity.as_str()),
        ("ecr", DEFAULT_IDENTITY_ARN)
    );
    assert_same_time(data.expires_at().unwrap(), origin.expires_at);
    assert_eq!(
        origin.expires_at.duration_since(origin.issued_at).as_secs(),
        12 * 3600
    );
}

#[tokio::test]
async fn every_call_gives_a_new_password() {
    let double = AwsDouble::start().await;
    let client = ecr(&double, "eu-west-1").await;
    let first = decoded(&client.get_authorization_token().send().await.unwrap());
    let second = decoded(&client.get_authorization_token().send().await.unwrap());
    assert_ne!(first, second);
    assert_eq!(
        issued(second.strip_prefix("AWS:").unwrap()).unwrap().number,
        2
    );
    assert_eq!(
        double.calls().iter().map(|c| c.token).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
}

#[tokio::test]
async fn the_life_of_a_token_is_as_set_to_the_fraction_and_counts_from_the_double_s_clock() {
    let double = AwsDouble::start().await;
    double.set_token_life(Duration::from_millis(2500));
    double.advance_clock(Duration::from_secs(1_000_000));
    let before = double.now();
    let output = ecr(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    let after = double.now();
    let expires = output.authorization_data()[0]
        .expires_at()
        .unwrap()
        .to_millis()
        .unwrap();
    assert!((before.as_millisecond() + 2499..=after.as_millisecond() + 2500).contains(&expires));
}

#[tokio::test]
async fn the_length_of_passwords_can_be_chosen() {
    let double = AwsDouble::start().await;
    double.change_settings(SettingsChange {
        password_bytes: Some(2700),
        ..SettingsChange::default()
    });
    let output = ecr(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    assert!(
        (2704..2715).contains(&decoded(&output).len()),
        "{}",
        decoded(&output).len()
    );
}

#[tokio::test]
async fn the_deprecated_registry_ids_give_an_entry_each_and_a_wrong_one_is_refused() {
    let double = AwsDouble::start().await;
    let client = ecr(&double, "cn-north-1").await;
    #[allow(deprecated, reason = "the argument is what is tested")]
    let ask = |ids: [&str; 2]| {
        client
            .get_authorization_token()
            .registry_ids(ids[0])
            .registry_ids(ids[1])
            .send()
    };
    let output = ask(["111111111111", "222222222222"]).await.unwrap();
    let endpoints: Vec<_> = output
        .authorization_data()
        .iter()
        .filter_map(|d| d.proxy_endpoint())
        .collect();
    assert_eq!(
        endpoints,
        [
            "https://111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "https://222222222222.dkr.ecr.cn-north-1.amazonaws.com.cn"
        ]
    );
    let error = ask(["111111111111", "abc"])
        .await
        .unwrap_err()
        .into_service_error();
    assert!(
        matches!(
            error,
            GetAuthorizationTokenError::InvalidParameterException(_)
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_access_key_that_nobody_knows_is_unrecognized() {
    let double = AwsDouble::start().await;
    let error = ecr_as(&double, "eu-west-1", key("AKIAWHOISTHIS"))
        .await
        .get_authorization_token()
        .send()
        .await;
    let (code, status, message) = refusal(&error.unwrap_err());
    assert_eq!(
        (code.as_str(), status),
        ("UnrecognizedClientException", 400)
    );
    assert_eq!(
        message,
        "The security token included in the request is invalid."
    );
    assert_eq!(
        double.counts().exactly(
            Action::EcrGetAuthorizationToken,
            "eu-west-1",
            "AKIAWHOISTHIS"
        ),
        1
    );
}

#[tokio::test]
async fn a_deleted_key_stops_working_and_an_added_one_works_under_its_own_arn() {
    let double = AwsDouble::start().await;
    assert!(double.remove_static_identity(DEFAULT_ACCESS_KEY_ID));
    let refused = ecr(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap_err();
    assert_eq!(refusal(&refused).0, "UnrecognizedClientException");
    let arn = "arn:aws:iam::999999999999:user/new";
    double.add_static_identity("AKIANEW", arn);
    let client = ecr_as(&double, "eu-west-1", key("AKIANEW")).await;
    let output = client.get_authorization_token().send().await.unwrap();
    assert!(
        output.authorization_data()[0]
            .proxy_endpoint()
            .unwrap()
            .contains("999999999999")
    );
    assert_eq!(
        double
            .counts()
            .exactly(Action::EcrGetAuthorizationToken, "eu-west-1", arn),
        1
    );
}

#[tokio::test]
async fn a_region_that_does_not_exist_is_refused_until_it_does() {
    let double = AwsDouble::start().await;
    let client = ecr(&double, "xx-invalid-99").await;
    let (code, status, message) =
        refusal(&client.get_authorization_token().send().await.unwrap_err());
    assert_eq!(
        (code.as_str(), status),
        ("UnrecognizedClientException", 400)
    );
    assert!(message.contains("xx-invalid-99"), "{message}");
    let regions = Some(["xx-invalid-99".to_owned()].into());
    double.change_settings(SettingsChange {
        regions,
        ..SettingsChange::default()
    });
    client.get_authorization_token().send().await.unwrap();
}

#[tokio::test]
async fn ecr_public_answers_one_object_without_an_endpoint() {
    let double = AwsDouble::start().await;
    let output = public(&double, "us-east-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    let data = output.authorization_data().unwrap();
    let token = base64::engine::general_purpose::STANDARD
        .decode(data.authorization_token().unwrap())
        .unwrap();
    assert!(token.starts_with(b"AWS:"));
    let origin = issued(data.authorization_token().unwrap()).unwrap();
    assert_eq!(origin.service, "ecr-public");
    assert_same_time(data.expires_at().unwrap(), origin.expires_at);
    assert_eq!(
        double.counts().of(Action::EcrPublicGetAuthorizationToken),
        1
    );
    assert_eq!(double.counts().of(Action::EcrGetAuthorizationToken), 0);
}

#[tokio::test]
async fn ecr_public_is_in_us_east_1_only() {
    let double = AwsDouble::start().await;
    let error = public(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap_err();
    let error = error.into_service_error();
    assert!(
        matches!(error, PublicError::UnsupportedCommandException(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn calls_are_counted_per_action_region_and_identity_until_reset() {
    let double = AwsDouble::start().await;
    let action = Action::EcrGetAuthorizationToken;
    for region in ["eu-west-1", "eu-west-1", "us-east-2"] {
        ecr(&double, region)
            .await
            .get_authorization_token()
            .send()
            .await
            .unwrap();
    }
    let counts = double.counts();
    assert_eq!(counts.exactly(action, "eu-west-1", DEFAULT_IDENTITY_ARN), 2);
    assert_eq!(counts.exactly(action, "us-east-2", DEFAULT_IDENTITY_ARN), 1);
    assert_eq!((counts.total(), counts.answered(action)), (3, 3));
    double.reset_counts();
    assert_eq!((double.counts().total(), double.calls().len()), (0, 0));
}

#[tokio::test]
async fn a_double_that_was_dropped_is_gone() {
    let double = AwsDouble::start().await;
    let client = ecr(&double, "eu-west-1").await;
    client.get_authorization_token().send().await.unwrap();
    let hanging = {
        double.set_fault(aws_double::Fault::Hang);
        let client = client.clone();
        tokio::spawn(async move { client.get_authorization_token().send().await })
    };
    while double.counts().total() < 2 {
        tokio::task::yield_now().await;
    }
    drop(double);
    assert!(hanging.await.unwrap().is_err(), "a call under way is reset");
    assert!(
        client.get_authorization_token().send().await.is_err(),
        "the port is closed"
    );
}
