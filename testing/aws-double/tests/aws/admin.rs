use std::time::Duration;

use aws_double::{
    Action, AwsDouble, ClientError, DEFAULT_IDENTITY_ARN, Fault, FaultRule, Role, SettingsChange,
};
use jiff::SignedDuration;

use crate::sdk::{decoded, ecr, ecr_as, key, refusal};

#[tokio::test]
async fn every_fault_survives_the_way_over_http() {
    let double = AwsDouble::start().await;
    let client = double.client();
    let faults = [
        Fault::Latency { ms: 30 },
        Fault::Throttle,
        Fault::ThrottleAbove {
            per_second: 20.0,
            burst: 200,
        },
        Fault::ServerError { status: 503 },
        Fault::Error {
            status: 403,
            code: "RegionDisabledException".into(),
            message: "off".into(),
        },
        Fault::AccessDenied,
        Fault::Hang,
        Fault::Reset,
        Fault::Garbage,
        Fault::Truncated,
        Fault::EmptyAuthorizationData,
        Fault::TokenWithoutColon,
        Fault::TokenNotBase64,
        Fault::AlreadyExpired,
        Fault::MissingExpiresAt,
    ];
    for fault in faults {
        let rule = FaultRule::from(fault)
            .action(Action::AssumeRole)
            .region("r")
            .identity("i")
            .times(3);
        let id = client.set_fault(rule.clone()).await.unwrap();
        let installed = client.faults().await.unwrap();
        assert_eq!(
            installed
                .iter()
                .map(|f| (f.id, &f.rule))
                .collect::<Vec<_>>(),
            [(id, &rule)]
        );
        assert_eq!(double.faults(), installed);
        client.clear_fault(id).await.unwrap();
    }
    assert!(double.faults().is_empty());
}

#[tokio::test]
async fn a_fault_set_over_http_acts_and_is_cleared_over_http() {
    let double = AwsDouble::start().await;
    let (client, ecr) = (double.client(), ecr(&double, "eu-west-1").await);
    client.set_fault(Fault::AccessDenied).await.unwrap();
    assert_eq!(
        refusal(&ecr.get_authorization_token().send().await.unwrap_err()).0,
        "AccessDeniedException"
    );
    client.clear_faults().await.unwrap();
    ecr.get_authorization_token().send().await.unwrap();
    let outcomes: Vec<_> = client
        .calls()
        .await
        .unwrap()
        .into_iter()
        .map(|c| c.outcome)
        .collect();
    assert_eq!(outcomes, ["AccessDeniedException", "ok"]);
    assert_eq!(client.counts().await.unwrap(), double.counts());
    assert_eq!(
        double.counts().exactly(
            Action::EcrGetAuthorizationToken,
            "eu-west-1",
            DEFAULT_IDENTITY_ARN
        ),
        2
    );
    client.reset_counts().await.unwrap();
    assert_eq!(double.counts().total(), 0);
}

#[tokio::test]
async fn clock_life_and_settings_are_set_over_http() {
    let double = AwsDouble::start().await;
    let client = double.client();
    client
        .set_clock_offset(SignedDuration::from_hours(-5))
        .await
        .unwrap();
    client.advance_clock(Duration::from_hours(1)).await.unwrap();
    let ahead = client
        .now()
        .await
        .unwrap()
        .duration_since(jiff::Timestamp::now());
    assert!(
        (-4 * 3600 - 60..=-4 * 3600).contains(&ahead.as_secs()),
        "{ahead}"
    );
    client
        .set_token_life(Duration::from_millis(5500))
        .await
        .unwrap();
    let change = SettingsChange {
        password_bytes: Some(3000),
        ..SettingsChange::default()
    };
    let settings = client.change_settings(&change).await.unwrap();
    assert_eq!(
        settings.token_life,
        Duration::from_millis(5500),
        "what a change leaves out stays"
    );
    assert_eq!(client.settings().await.unwrap(), double.settings());
    let output = ecr(&double, "eu-west-1")
        .await
        .get_authorization_token()
        .send()
        .await
        .unwrap();
    assert!(decoded(&output).len() > 3000);
}

#[tokio::test]
async fn identities_and_roles_are_added_over_http() {
    let double = AwsDouble::start().await;
    let client = double.client();
    client
        .add_static_identity("AKIANEW", "arn:aws:iam::1:user/new")
        .await
        .unwrap();
    client
        .add_role(&Role::new("arn:aws:iam::1:role/r").trust_principal("arn:aws:iam::1:user/new"))
        .await
        .unwrap();
    let credentials = key("AKIANEW");
    let call = crate::sdk::sts(&double, credentials.clone())
        .await
        .assume_role()
        .role_arn("arn:aws:iam::1:role/r");
    call.role_session_name("test-session").send().await.unwrap();
    client.remove_static_identity("AKIANEW").await.unwrap();
    let refused = ecr_as(&double, "eu-west-1", credentials)
        .await
        .get_authorization_token()
        .send()
        .await;
    assert_eq!(
        refusal(&refused.unwrap_err()).0,
        "UnrecognizedClientException"
    );
}

#[tokio::test]
async fn bad_requests_are_refused_in_one_line_and_change_nothing() {
    let double = AwsDouble::start().await;
    let client = double.client();
    let refused = [
        client
            .set_fault(Fault::ServerError { status: 200 })
            .await
            .unwrap_err(),
        client
            .set_fault(Fault::ThrottleAbove {
                per_second: -1.0,
                burst: 1,
            })
            .await
            .unwrap_err(),
        client
            .clear_fault(aws_double::FaultId(77))
            .await
            .unwrap_err(),
        client.remove_static_identity("nobody").await.unwrap_err(),
    ];
    for error in refused {
        assert!(
            matches!(
                error,
                ClientError::Refused {
                    status: 400 | 404,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
    assert!(double.faults().is_empty());
}

#[tokio::test]
async fn a_double_that_is_away_is_an_error_that_says_so() {
    let client = {
        let double = AwsDouble::start().await;
        double.client()
    };
    // The port closes soon after the drop; until then a request may still be answered.
    let error = loop {
        if let Err(error) = client.counts().await {
            break error;
        }
    };
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("is the AWS double running?"));
}
