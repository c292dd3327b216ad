//! Roles: web identity, chains of roles, and sessions that end.

use std::time::Duration;

use aws_double::{
    Action, AwsDouble, DEFAULT_ACCESS_KEY_ID, DEFAULT_IDENTITY_ARN, Fault, FaultRule, Role,
};
use ecr_secret_core::reason::Reason;
use ecr_secret_operator::aws::{Broker, BrokerOptions, Freshness};
use futures::future::join_all;

use crate::support::{REGION, ROLE, SUBJECT, World, ask, ask_for, identity, jwt, key};

const WEB: Action = Action::AssumeRoleWithWebIdentity;

fn trust(aws: &AwsDouble) {
    aws.add_role(Role::new(ROLE).trust_web_identity("openshift", SUBJECT));
}

/// A world with the role, and the path of a token for it.
async fn world() -> (World, String) {
    let world = World::new().await;
    trust(&world.aws);
    let token = world.dir.write("token", jwt("openshift"));
    (world, token)
}

fn web_file(token: &str) -> String {
    format!(
        "[default]\nsts_regional_endpoints = regional\nrole_arn = {ROLE}\nweb_identity_token_file = {token}\n"
    )
}

fn from_environment(world: &World, token: &str) -> Broker {
    Broker::new(world.options(&[
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token),
    ]))
}

#[tokio::test]
async fn the_role_of_a_profile_is_assumed_with_the_projected_token() {
    let (world, token) = world().await;
    let got = ask(&world.broker_with_file(&web_file(&token)))
        .await
        .unwrap();
    assert_eq!(
        identity(&got),
        "arn:aws:sts::123456789012:assumed-role/puller/ecr-secret-operator"
    );
}

#[tokio::test]
async fn the_role_of_the_environment_is_assumed_with_its_token_and_session_name() {
    let (world, token) = world().await;
    let broker = Broker::new(world.options(&[
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        ("AWS_ROLE_SESSION_NAME", "by-name"),
    ]));
    assert!(identity(&ask(&broker).await.unwrap()).ends_with("/by-name"));
}

#[tokio::test]
async fn the_role_of_openshifts_token_flow_is_assumed_with_openshifts_token() {
    let (world, token) = world().await;
    let broker = Broker::new(BrokerOptions {
        openshift_token: token,
        ..world.options(&[("ROLEARN", ROLE)])
    });
    ask(&broker).await.unwrap();
    assert_eq!(world.aws.counts().of(WEB), 1);
}

#[tokio::test]
async fn one_session_serves_all_regions_when_home_is_known() {
    let (world, token) = world().await;
    let broker = Broker::new(world.options(&[
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        ("AWS_REGION", REGION),
    ]));
    let keys = ["eu-west-1", "us-east-1", "us-west-2", "ap-south-1"].map(key);
    let results = join_all(keys.iter().map(|key| ask_for(&broker, key, Freshness::ANY))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(world.aws.counts().of(WEB), 1);
    ask_for(&broker, &key("cn-north-1"), Freshness::ANY)
        .await
        .unwrap();
    assert_eq!(
        world.aws.counts().of(WEB),
        2,
        "China has accounts of its own"
    );
}

#[tokio::test]
async fn faults_of_sts_have_their_reasons_name_the_role_and_pass() {
    let (world, token) = world().await;
    let broker = Broker::new(BrokerOptions {
        timeouts: ecr_secret_operator::aws::Timeouts {
            connect: Duration::from_millis(500),
            attempt: Duration::from_millis(700),
            operation: Duration::from_secs(1),
        },
        ..world.options(&[
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        ])
    });
    let error = |status, code: &str| Fault::Error {
        status,
        code: code.to_owned(),
        message: "as told".to_owned(),
    };
    for (fault, reason) in [
        (Fault::AccessDenied, Reason::AccessDenied),
        (Fault::Throttle, Reason::Throttled),
        (Fault::ServerError { status: 500 }, Reason::AwsError),
        (Fault::Hang, Reason::AwsUnreachable),
        (Fault::Reset, Reason::AwsUnreachable),
        (Fault::Garbage, Reason::AwsAnswerInvalid),
        (
            error(400, "InvalidIdentityToken"),
            Reason::CredentialsInvalid,
        ),
        (
            error(400, "ExpiredTokenException"),
            Reason::CredentialsInvalid,
        ),
        (error(400, "IDPCommunicationError"), Reason::AwsError),
        (error(403, "RegionDisabledException"), Reason::InvalidRegion),
        (error(400, "ValidationError"), Reason::CredentialsInvalid),
    ] {
        let rule = world
            .aws
            .set_fault(FaultRule::from(fault.clone()).action(WEB));
        let failure = ask(&broker).await.unwrap_err();
        assert_eq!(failure.reason, reason, "{fault:?}: {failure}");
        for part in ["AssumeRoleWithWebIdentity", ROLE] {
            assert!(failure.message.contains(part), "{failure}");
        }
        let lasting = [
            Reason::AccessDenied,
            Reason::CredentialsInvalid,
            Reason::InvalidRegion,
        ];
        assert_eq!(
            failure.waiting_helps,
            !lasting.contains(&reason),
            "{failure}"
        );
        world.aws.clear_fault(rule);
        world.sit_out(&failure);
    }
    ask(&broker).await.unwrap();
}

#[tokio::test]
async fn a_token_of_the_wrong_audience_is_refused_and_the_right_one_is_taken_later() {
    let (world, _) = world().await;
    let token = world.dir.write("wrong", jwt("sts.amazonaws.com"));
    let broker = from_environment(&world, &token);
    let failure = ask(&broker).await.unwrap_err();
    assert_eq!(failure.reason, Reason::CredentialsInvalid);
    assert!(failure.message.contains("audience"), "{failure}");
    world.dir.write("wrong", jwt("openshift"));
    world.sit_out(&failure);
    ask(&broker).await.unwrap();
}

#[tokio::test]
async fn a_token_file_that_is_missing_or_empty_is_named() {
    let (world, _) = world().await;
    let empty = world.dir.write("empty", "\n");
    for path in ["/nowhere/token", empty.as_str()] {
        let failure = ask(&from_environment(&world, path)).await.unwrap_err();
        assert_eq!(failure.reason, Reason::CredentialsInvalid);
        assert!(failure.message.contains(path), "{failure}");
    }
    assert_eq!(world.aws.counts().total(), 0);
}

#[tokio::test]
async fn a_session_is_used_until_shortly_before_its_end_and_then_replaced() {
    let (world, token) = world().await;
    let broker = from_environment(&world, &token);
    let younger = || Freshness {
        issued_after: world.now(),
        force: false,
    };
    ask(&broker).await.unwrap();
    ask_for(&broker, &key(REGION), younger()).await.unwrap();
    assert_eq!(world.aws.counts().of(WEB), 1);

    // A life that is shorter than the margin: never used twice.
    let (world, token) = self::world().await;
    world.aws.change_settings(aws_double::SettingsChange {
        session_life: Some(Duration::from_secs(30)),
        ..aws_double::SettingsChange::default()
    });
    let broker = from_environment(&world, &token);
    ask(&broker).await.unwrap();
    let younger = Freshness {
        issued_after: world.now(),
        force: false,
    };
    ask_for(&broker, &key(REGION), younger).await.unwrap();
    assert_eq!(world.aws.counts().of(WEB), 2);
}

#[tokio::test]
async fn a_session_that_aws_refuses_is_replaced_at_the_next_attempt() {
    let (world, token) = world().await;
    let broker = from_environment(&world, &token);
    ask(&broker).await.unwrap();
    world.aws.set_fault(
        FaultRule::from(Fault::Error {
            status: 400,
            code: "ExpiredTokenException".to_owned(),
            message: "The security token included in the request is expired".to_owned(),
        })
        .action(Action::EcrGetAuthorizationToken)
        .times(1),
    );
    let younger = Freshness {
        issued_after: world.now(),
        force: false,
    };
    let failure = ask_for(&broker, &key(REGION), younger).await.unwrap_err();
    assert_eq!(
        (failure.reason, failure.waiting_helps),
        (Reason::CredentialsInvalid, true)
    );
    world.sit_out(&failure);
    ask_for(&broker, &key(REGION), younger).await.unwrap();
    assert_eq!(world.aws.counts().of(WEB), 2);
}

#[tokio::test]
async fn a_role_is_assumed_with_the_keys_of_another_profile() {
    let world = World::new().await;
    let mut role = Role::new(ROLE).trust_principal(DEFAULT_IDENTITY_ARN);
    role.external_id = Some("agreed".to_owned());
    world.aws.add_role(role);
    let content = format!(
        "[default]\nrole_arn={ROLE}\nsource_profile=keys\nexternal_id=agreed\nrole_session_name=chain\n[profile keys]\naws_access_key_id={DEFAULT_ACCESS_KEY_ID}\naws_secret_access_key=x\n"
    );
    let token = ask(&world.broker_with_file(&content)).await.unwrap();
    assert!(identity(&token).ends_with("assumed-role/puller/chain"));
    assert_eq!(world.aws.counts().of(Action::AssumeRole), 1);

    let without_id = content.replace("external_id=agreed\n", "");
    let failure = ask(&world.broker_with_file(&without_id)).await.unwrap_err();
    assert_eq!(failure.reason, Reason::AccessDenied);
    assert!(failure.message.contains("trust policy"), "{failure}");
}

#[tokio::test]
async fn a_hanging_sts_keeps_askers_of_many_regions_waiting_only_once_or_twice() {
    let (world, token) = world().await;
    world
        .aws
        .set_fault(FaultRule::from(Fault::Hang).action(WEB));
    let broker = Broker::new(BrokerOptions {
        timeouts: ecr_secret_operator::aws::Timeouts {
            connect: Duration::from_millis(300),
            attempt: Duration::from_millis(300),
            operation: Duration::from_millis(300),
        },
        ..world.options(&[
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
            ("AWS_REGION", REGION),
        ])
    });
    let regions = [
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "us-east-1",
        "us-east-2",
        "us-west-2",
    ];
    let keys = regions.map(key);
    let results = join_all(keys.iter().map(|key| ask_for(&broker, key, Freshness::ANY))).await;
    for result in results {
        assert_eq!(result.unwrap_err().reason, Reason::AwsUnreachable);
    }
    let calls = world.aws.counts().of(WEB);
    assert!(calls <= 2, "{calls} calls");
}
