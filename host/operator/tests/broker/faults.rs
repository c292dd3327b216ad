//! Every way in which AWS can fail: a reason, no loss, and recovery without a restart.

use std::time::Duration;

use aws_double::{DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY, Fault};
use ecr_secret_core::reason::Reason;
use ecr_secret_operator::aws::{Broker, BrokerOptions, Environment, Freshness, Timeouts, TokenKey};

use crate::support::{REGION, World, ask, ask_for, key, number, public};

fn error(status: u16, code: &str) -> Fault {
    Fault::Error {
        status,
        code: code.to_owned(),
        message: "as told".to_owned(),
    }
}

/// The faults, the reasons that they shall have, and whether they may pass by themselves.
fn all() -> Vec<(Fault, Reason, bool)> {
    use Reason::{
        AccessDenied, AwsAnswerInvalid, AwsError, AwsUnreachable, CredentialsInvalid,
        InvalidRegion, Throttled,
    };
    vec![
        (Fault::Throttle, Throttled, true),
        (error(400, "TooManyRequestsException"), Throttled, true),
        (error(503, "RequestLimitExceeded"), Throttled, true),
        (Fault::ServerError { status: 500 }, AwsError, true),
        (Fault::ServerError { status: 503 }, AwsError, true),
        (error(400, "InvalidParameterException"), AwsError, true),
        (Fault::AccessDenied, AccessDenied, false),
        (error(403, "AccessDenied"), AccessDenied, false),
        (
            error(400, "ExpiredTokenException"),
            CredentialsInvalid,
            false,
        ),
        (
            error(400, "UnrecognizedClientException"),
            CredentialsInvalid,
            false,
        ),
        (
            error(403, "InvalidClientTokenId"),
            CredentialsInvalid,
            false,
        ),
        (
            error(403, "SignatureDoesNotMatch"),
            CredentialsInvalid,
            false,
        ),
        (error(400, "RegionDisabledException"), InvalidRegion, false),
        (Fault::Hang, AwsUnreachable, true),
        (Fault::Reset, AwsUnreachable, true),
        (Fault::Garbage, AwsAnswerInvalid, true),
        (Fault::Truncated, AwsAnswerInvalid, true),
        (Fault::EmptyAuthorizationData, AwsAnswerInvalid, true),
        (Fault::TokenWithoutColon, AwsAnswerInvalid, true),
        (Fault::TokenNotBase64, AwsAnswerInvalid, true),
        (Fault::AlreadyExpired, AwsAnswerInvalid, true),
        (Fault::MissingExpiresAt, AwsAnswerInvalid, true),
    ]
}

fn impatient(world: &World) -> Broker {
    Broker::new(BrokerOptions {
        timeouts: Timeouts {
            connect: Duration::from_millis(500),
            attempt: Duration::from_millis(700),
            operation: Duration::from_secs(1),
        },
        ..world.options(&[
            ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", DEFAULT_SECRET_ACCESS_KEY),
        ])
    })
}

async fn every_fault_is_named_and_passes(key: TokenKey) {
    let world = World::new().await;
    let broker = impatient(&world);
    let mut good = ask_for(&broker, &key, Freshness::ANY).await.unwrap();
    for (fault, reason, waiting_helps) in all() {
        let rule = world.aws.set_fault(fault.clone());
        let younger = Freshness {
            issued_after: world.now(),
            force: false,
        };
        let failure = ask_for(&broker, &key, younger).await.unwrap_err();
        assert_eq!(
            (failure.reason, failure.waiting_helps),
            (reason, waiting_helps),
            "{fault:?}: {failure}"
        );
        assert!(failure.retry_at > world.now(), "{fault:?}");
        assert!(!failure.message.contains('\n'), "{failure}");
        assert!(
            failure.message.contains("GetAuthorizationToken in"),
            "{failure}"
        );
        assert!(failure.message.contains("…MPLE"), "{failure}");
        assert!(
            !failure.message.contains(DEFAULT_ACCESS_KEY_ID),
            "{failure}"
        );
        assert!(
            !failure.message.contains(DEFAULT_SECRET_ACCESS_KEY),
            "{failure}"
        );
        let last = ask_for(&broker, &key, Freshness::ANY).await.unwrap();
        assert_eq!(last, good, "{fault:?}: the last good token is still there");

        world.aws.clear_fault(rule);
        world.sit_out(&failure);
        let younger = Freshness {
            issued_after: world.now(),
            force: false,
        };
        good = ask_for(&broker, &key, younger)
            .await
            .unwrap_or_else(|failure| panic!("after {fault:?}: {failure}"));
    }
}

#[tokio::test]
async fn every_fault_of_ecr_has_its_reason_and_passes_without_a_restart() {
    every_fault_is_named_and_passes(key(REGION)).await;
}

#[tokio::test]
async fn every_fault_of_ecr_public_has_its_reason_and_passes_without_a_restart() {
    every_fault_is_named_and_passes(public()).await;
}

#[tokio::test]
async fn a_denial_says_what_to_allow() {
    let world = World::new().await;
    world.aws.set_fault(Fault::AccessDenied);
    let broker = world.broker();
    let private = ask(&broker).await.unwrap_err();
    assert!(
        private.message.contains("allow ecr:GetAuthorizationToken"),
        "{private}"
    );
    assert!(
        private.message.contains("AccessDeniedException"),
        "{private}"
    );
    let public = ask_for(&broker, &public(), Freshness::ANY)
        .await
        .unwrap_err();
    assert!(
        public.message.contains("sts:GetServiceBearerToken"),
        "{public}"
    );
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let broker = Broker::new(BrokerOptions::new(Environment::from_iter([
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ])));
    let failure = ask(&broker).await.unwrap_err();
    assert_eq!(
        (failure.reason, failure.waiting_helps),
        (Reason::AwsUnreachable, true)
    );
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_named_and_does_no_harm() {
    let world = World::new().await;
    let broker = Broker::new(world.options(&[
        ("AWS_ENDPOINT_URL_ECR", "ecr.example:443"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ]));
    let failure = ask(&broker).await.unwrap_err();
    assert!(
        failure.message.contains("AWS_ENDPOINT_URL_ECR"),
        "{failure}"
    );
    assert!(!failure.waiting_helps);
}

#[tokio::test]
async fn the_endpoint_of_a_service_goes_before_the_common_one() {
    let world = World::new().await;
    let endpoint = world.aws.endpoint();
    let broker = Broker::new(world.options(&[
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_ECR", &endpoint),
        ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", DEFAULT_SECRET_ACCESS_KEY),
    ]));
    ask(&broker).await.unwrap();
    let failure = ask_for(&broker, &public(), Freshness::ANY)
        .await
        .unwrap_err();
    assert_eq!(failure.reason, Reason::AwsUnreachable);
}

#[tokio::test]
async fn a_region_that_does_not_exist_is_invalid_and_harms_no_other() {
    let world = World::new().await;
    let broker = world.broker();
    let failure = ask_for(&broker, &key("xx-invalid-99"), Freshness::ANY)
        .await
        .unwrap_err();
    assert_eq!(
        (failure.reason, failure.waiting_helps),
        (Reason::InvalidRegion, false)
    );
    assert!(failure.message.contains("xx-invalid-99"), "{failure}");
    assert_eq!(number(&ask(&broker).await.unwrap()), 1);
}

#[tokio::test]
async fn what_cannot_be_a_region_never_reaches_the_network() {
    let world = World::new().await;
    let broker = world.broker();
    for region in [
        "",
        "evil.example/#",
        "eu-west-1.evil.example",
        "EU-WEST-1",
        "a@b",
        "-a",
        "é\n",
    ] {
        let failure = ask_for(&broker, &key(region), Freshness::ANY)
            .await
            .unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidRegion, "{region:?}");
        assert!(!failure.message.contains('\n'));
    }
    assert_eq!(world.aws.counts().total(), 0);
}
