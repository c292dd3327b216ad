//! Whatever AWS does: a good Secret stays as it is, the status says what is wrong, and the operator
//! recovers by itself.

use std::time::Duration;

use aws_double::{Action, DEFAULT_ACCESS_KEY_ID, DEFAULT_IDENTITY_ARN, Fault, FaultRule, Role};
use ecr_secret_core::manifests::WORKLOAD_NAME;
use serde_json::{Value, json};

use crate::support::{Stage, password, spec, state, text};

/// Failures that somebody has to mend are retried after 10 s, then 20 s.
const RECOVERY: Duration = Duration::from_mins(1);

/// Every way in which the double can fail, each for a region of its own, with the reason that it gives.
fn modes() -> Vec<(&'static str, Fault, &'static str)> {
    let error = |status, code: &str| Fault::Error {
        status,
        code: code.to_owned(),
        message: "as the test wants it".to_owned(),
    };
    vec![
        ("us-east-1", Fault::Throttle, "Throttled"),
        (
            "us-east-2",
            Fault::ThrottleAbove {
                per_second: 0.0,
                burst: 0,
            },
            "Throttled",
        ),
        ("us-west-1", Fault::ServerError { status: 500 }, "AwsError"),
        ("us-west-2", Fault::ServerError { status: 503 }, "AwsError"),
        ("eu-west-1", Fault::Hang, "AwsUnreachable"),
        ("eu-west-2", Fault::Reset, "AwsUnreachable"),
        ("eu-west-3", Fault::Garbage, "AwsAnswerInvalid"),
        ("eu-central-1", Fault::Truncated, "AwsAnswerInvalid"),
        (
            "eu-north-1",
            Fault::EmptyAuthorizationData,
            "AwsAnswerInvalid",
        ),
        ("eu-south-1", Fault::TokenWithoutColon, "AwsAnswerInvalid"),
        ("ap-south-1", Fault::TokenNotBase64, "AwsAnswerInvalid"),
        ("ap-east-1", Fault::AlreadyExpired, "AwsAnswerInvalid"),
        ("sa-east-1", Fault::MissingExpiresAt, "AwsAnswerInvalid"),
        ("ca-central-1", Fault::AccessDenied, "AccessDenied"),
        (
            "ca-west-1",
            error(400, "UnrecognizedClientException"),
            "CredentialsInvalid",
        ),
        (
            "af-south-1",
            error(400, "ExpiredTokenException"),
            "CredentialsInvalid",
        ),
        (
            "me-south-1",
            error(400, "RegionDisabledException"),
            "InvalidRegion",
        ),
    ]
}

fn in_region(region: &str) -> Value {
    let mut spec = spec(region);
    spec["region"] = json!(region);
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_mode_of_failure_the_secret_stays_byte_for_byte_and_recovers_without_a_restart() {
    let (stage, _operator) = Stage::with_operator().await;
    for (region, _, _) in modes() {
        stage.create(region, in_region(region)).await;
    }
    let mut before = Vec::new();
    for (region, _, _) in modes() {
        stage.ready(region, "Refreshed").await;
        before.push(stage.secret(region).await);
    }
    for ((region, fault, _), secret) in modes().into_iter().zip(&before) {
        Stage::old_enough_for_a_refresh(secret).await;
        stage.aws.set_fault(FaultRule::from(fault).region(region));
        stage.request_refresh(region, "while AWS fails").await;
    }
    for ((region, fault, reason), secret) in modes().into_iter().zip(&before) {
        let status = stage.ready(region, reason).await;
        let ready = status.condition("Ready").unwrap();
        assert_eq!(ready.status.as_str(), "False", "{fault:?}");
        assert!(
            ready
                .message
                .contains(&format!("Secret {region} stays valid until ")),
            "{fault:?}: {}",
            ready.message
        );
        assert!(
            ready.message.contains(region) && !ready.message.contains('\n'),
            "{fault:?}: {}",
            ready.message
        );
        assert!(
            !ready.message.contains(&password(secret)),
            "{fault:?}: the message tells the token"
        );
        assert_eq!(status.phase.as_deref(), Some("Updated"), "{fault:?}");
        assert_eq!(
            status.handled_refresh_request, None,
            "{fault:?}: the request is not obeyed yet"
        );
    }
    for ((region, fault, _), secret) in modes().into_iter().zip(&before) {
        assert_eq!(
            state(&stage.secret(region).await),
            state(secret),
            "{fault:?}"
        );
    }

    stage.aws.clear_faults();
    for ((region, fault, _), secret) in modes().into_iter().zip(&before) {
        let status = stage.ready_within(RECOVERY, region, "Refreshed").await;
        assert_eq!(
            status.handled_refresh_request.as_deref(),
            Some("while AWS fails"),
            "{fault:?}"
        );
        let after = stage.secret(region).await;
        assert_ne!(password(&after), password(secret), "{fault:?}");
        assert_eq!(
            after.metadata.uid, secret.metadata.uid,
            "{fault:?}: in place"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_made_of_a_first_answer_that_is_none_and_it_comes_when_aws_recovers() {
    let (stage, mut operator) = Stage::with_operator().await;
    for (region, fault, _) in modes() {
        stage.aws.set_fault(FaultRule::from(fault).region(region));
        stage.create(region, in_region(region)).await;
    }
    for (region, fault, reason) in modes() {
        let status = stage.ready(region, reason).await;
        assert_eq!(
            status.condition("Ready").unwrap().status.as_str(),
            "False",
            "{fault:?}"
        );
        assert_eq!(
            (
                status.phase,
                status.generated_secret_name,
                status.expires_at
            ),
            (None, None, None),
            "{fault:?}"
        );
        assert!(
            stage.secrets().get_opt(region).await.unwrap().is_none(),
            "{fault:?}: a Secret of nothing"
        );
    }
    stage.aws.clear_faults();
    for (region, _, _) in modes() {
        stage.ready_within(RECOVERY, region, "Refreshed").await;
        assert!(
            aws_double::issued(&password(&stage.secret(region).await)).is_some(),
            "{region}"
        );
    }
    assert!(operator.is_running().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_that_aws_does_not_know_any_more_is_told_and_its_return_is_noticed() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let before = stage.secret("a").await;
    Stage::old_enough_for_a_refresh(&before).await;
    stage.aws.remove_static_identity(DEFAULT_ACCESS_KEY_ID);
    stage.request_refresh("a", "1").await;
    let status = stage.ready("a", "CredentialsInvalid").await;
    let message = &status.condition("Ready").unwrap().message;
    assert!(
        message.contains("aws-ecr-cloud-credentials") && message.contains("stays valid until"),
        "{message}"
    );
    assert_eq!(state(&stage.secret("a").await), state(&before));

    stage
        .aws
        .add_static_identity(DEFAULT_ACCESS_KEY_ID, DEFAULT_IDENTITY_ARN);
    let calls = stage.aws.counts().of(Action::EcrGetAuthorizationToken);
    // A new request does not wait for the end of the back-off.
    stage.request_refresh("a", "2").await;
    let status = stage
        .ready_within(Duration::from_secs(5), "a", "Refreshed")
        .await;
    assert_eq!(status.handled_refresh_request.as_deref(), Some("2"));
    assert_eq!(
        stage.aws.counts().of(Action::EcrGetAuthorizationToken),
        calls + 1
    );
    assert_ne!(password(&stage.secret("a").await), password(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_does_not_exist_leaves_the_secret_of_the_former_one_alone() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let before = stage.secret("a").await;
    stage
        .change("a", json!({ "spec": { "region": "xx-invalid-99" } }))
        .await;
    let status = stage.ready("a", "InvalidRegion").await;
    let message = &status.condition("Ready").unwrap().message;
    assert!(
        message.contains("xx-invalid-99") && message.contains("stays valid until"),
        "{message}"
    );
    assert_eq!(state(&stage.secret("a").await), state(&before));
    stage
        .change("a", json!({ "spec": { "region": "us-east-2" } }))
        .await;
    stage.ready("a", "Refreshed").await;
    assert_eq!(
        state(&stage.secret("a").await),
        state(&before),
        "it was right all the time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_that_sts_refuses_harms_no_secret_and_recovers() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/puller";
    let mut stage = Stage::prepare().await;
    let token = stage
        .cluster
        .service_account_token(
            &stage.namespace,
            WORKLOAD_NAME,
            &["openshift"],
            Duration::from_hours(1),
        )
        .await
        .unwrap();
    let path = stage.file("token", &token);
    stage
        .setup
        .environment
        .retain(|(name, _)| !name.starts_with("AWS_ACCESS") && !name.starts_with("AWS_SECRET"));
    stage.setup.environment.extend(
        [
            ("AWS_ROLE_ARN", ROLE.to_owned()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", path),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let subject = format!("system:serviceaccount:{}:{WORKLOAD_NAME}", stage.namespace);
    let trusted = Role::new(ROLE).trust_web_identity("openshift", &subject);
    stage.aws.add_role(trusted.clone());
    // Sessions that end at once: every token of ECR needs a new one.
    stage.aws.change_settings(aws_double::SettingsChange {
        session_life: Some(Duration::from_secs(30)),
        ..Default::default()
    });
    let _operator = stage.start().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;

    let error = |status, code: &str| {
        Some(Fault::Error {
            status,
            code: code.to_owned(),
            message: "as the test wants it".to_owned(),
        })
    };
    let stranger =
        Role::new(ROLE).trust_web_identity("openshift", "system:serviceaccount:elsewhere:somebody");
    let audience = Role::new(ROLE).trust_web_identity("sts.amazonaws.com", &subject);
    let cases = [
        (
            "another subject is trusted",
            Some(stranger),
            None,
            "AccessDenied",
        ),
        (
            "another audience is trusted",
            Some(audience),
            None,
            "CredentialsInvalid",
        ),
        (
            "the provider is not known",
            None,
            error(400, "InvalidIdentityToken"),
            "CredentialsInvalid",
        ),
        ("STS throttles", None, Some(Fault::Throttle), "Throttled"),
        (
            "STS fails",
            None,
            Some(Fault::ServerError { status: 503 }),
            "AwsError",
        ),
        ("STS resets", None, Some(Fault::Reset), "AwsUnreachable"),
        (
            "STS talks nonsense",
            None,
            Some(Fault::Garbage),
            "AwsAnswerInvalid",
        ),
    ];
    for (number, (name, role, fault, reason)) in cases.into_iter().enumerate() {
        let before = stage.secret("a").await;
        Stage::old_enough_for_a_refresh(&before).await;
        if let Some(role) = role {
            stage.aws.add_role(role);
        }
        if let Some(fault) = fault {
            stage
                .aws
                .set_fault(FaultRule::from(fault).action(Action::AssumeRoleWithWebIdentity));
        }
        stage
            .request_refresh("a", &format!("{number}, refused"))
            .await;
        let status = stage.ready("a", reason).await;
        let message = &status.condition("Ready").unwrap().message;
        assert!(
            message.contains("AssumeRoleWithWebIdentity")
                && message.contains(ROLE)
                && message.contains("stays valid until"),
            "{name}: {message}"
        );
        assert!(
            !message.contains(&token),
            "{name}: the message tells the web identity token"
        );
        assert_eq!(state(&stage.secret("a").await), state(&before), "{name}");

        stage.aws.clear_faults();
        stage.aws.add_role(trusted.clone());
        stage
            .request_refresh("a", &format!("{number}, trusted"))
            .await;
        stage.ready("a", "Refreshed").await;
        assert_ne!(
            password(&stage.secret("a").await),
            password(&before),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ecr_public_is_served_from_its_one_region_and_survives_faults_alike() {
    let (stage, _operator) = Stage::with_operator().await;
    let mut public = spec("public");
    public["ecr_registry"] = json!("public.ecr.aws");
    stage.create("public", public).await;
    stage.ready("public", "Refreshed").await;
    let before = stage.secret("public").await;
    let token = public_token(&before);
    assert_eq!(
        (token.service.as_str(), token.region.as_str()),
        ("ecr-public", "us-east-1")
    );
    assert_eq!(stage.aws.counts().of(Action::EcrGetAuthorizationToken), 0);

    Stage::old_enough_for_a_refresh(&before).await;
    for (number, (fault, reason, word)) in [
        (
            Fault::AccessDenied,
            "AccessDenied",
            "sts:GetServiceBearerToken",
        ),
        (Fault::EmptyAuthorizationData, "AwsAnswerInvalid", "empty"),
        (Fault::AlreadyExpired, "AwsAnswerInvalid", "expired"),
    ]
    .into_iter()
    .enumerate()
    {
        stage.aws.clear_faults();
        stage
            .aws
            .set_fault(FaultRule::from(fault).action(Action::EcrPublicGetAuthorizationToken));
        stage.request_refresh("public", &number.to_string()).await;
        let told = stage.status("public", word, |status| {
            status
                .condition("Ready")
                .is_some_and(|ready| ready.reason == reason && ready.message.contains(word))
        });
        assert!(
            told.await
                .condition("Ready")
                .unwrap()
                .message
                .contains("stays valid until")
        );
        assert_eq!(state(&stage.secret("public").await), state(&before));
    }
    // The private registries do not suffer from it.
    stage.create("private", spec("private")).await;
    stage.ready("private", "Refreshed").await;
    stage.aws.clear_faults();
    stage.request_refresh("public", "at last").await;
    stage.ready("public", "Refreshed").await;
    assert_ne!(public_token(&stage.secret("public").await), token);
}

fn public_token(secret: &k8s_openapi::api::core::v1::Secret) -> aws_double::Issued {
    let config: Value = serde_json::from_str(&text(secret, ".dockerconfigjson")).unwrap();
    aws_double::issued(
        config["auths"]["public.ecr.aws"]["password"]
            .as_str()
            .unwrap(),
    )
    .unwrap()
}
