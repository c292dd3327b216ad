//! Two replicas are safe: one works, the other waits for its turn.

use std::time::{Duration, Instant};

use ecr_secret_core::api::LEASE_NAME;
use ecr_secret_core::manifests::WORKLOAD_NAME;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::DeleteParams;
use test_stage::{Operator, Setup};

use crate::proxy::Proxy;
use crate::support::{SOON, Stage, eventually, spec, state};

/// The promise of a graceful end.
const GRACE: Duration = Duration::from_secs(10);
/// A Lease of 15 s, seen every 2 s; the rest is for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(25);

/// A further replica of the stage's operator.
fn replica(stage: &Stage, name: &str) -> Setup {
    let mut setup = Setup {
        leader_elect: true,
        log: stage.setup.log.with_file_name(format!("{name}.log")),
        ..stage.setup.clone()
    };
    setup
        .environment
        .push(("POD_NAME".to_owned(), name.to_owned()));
    setup
}

async fn start(setup: &Setup) -> Operator {
    let mut operator = Operator::start(setup).unwrap();
    operator.wait_until_ready().await.unwrap();
    operator
}

async fn leads(operator: &Operator) -> bool {
    operator
        .metrics()
        .await
        .unwrap()
        .lines()
        .any(|line| line == "ecr_secret_leading 1")
}

/// Waits until it leads.
async fn comes_to_lead(operator: &Operator, within: Duration, what: &str) {
    eventually(within, what, || async {
        leads(operator).await.then_some(())
    })
    .await;
}

/// Whether it tells anything of a resource.
async fn tells_of_resources(operator: &Operator) -> bool {
    let metrics = operator.metrics().await.unwrap();
    let mut lines = metrics.lines();
    lines.any(|line| line.starts_with("ecr_secret_ready{"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_one_works_and_the_other_takes_over_at_once_or_when_the_lease_is_over() {
    let stage = Stage::prepare().await;
    let mut first = start(&replica(&stage, "first")).await;
    comes_to_lead(&first, SOON, "the first leads").await;
    let mut second = start(&replica(&stage, "second")).await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    assert!(!leads(&second).await, "one is enough");
    assert_eq!(stage.calls(), 1);
    let before = stage.secret("a").await;

    let ended = Instant::now();
    assert!(first.terminate(GRACE).await.unwrap().success());
    comes_to_lead(&second, Duration::from_secs(8), "the second leads at once").await;
    assert!(
        ended.elapsed() < Duration::from_secs(8),
        "the Lease was given back, not waited for: {:?}",
        ended.elapsed()
    );
    stage.create("b", spec("b")).await;
    stage.ready("b", "Refreshed").await;
    assert_eq!(
        state(&stage.secret("a").await),
        state(&before),
        "the Secret was not written again"
    );

    let third = start(&replica(&stage, "third")).await;
    assert!(leads(&second).await && !leads(&third).await);
    second.kill().unwrap();
    comes_to_lead(&third, TAKEN_OVER, "the third leads").await;
    stage.create("c", spec("c")).await;
    stage.ready("c", "Refreshed").await;
    assert_eq!(
        state(&stage.secret("a").await),
        state(&before),
        "the Secret was not written again"
    );
    assert_eq!(
        stage.calls(),
        3,
        "one call of each leader, for its new resource"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_its_lease_steps_down_and_comes_back() {
    let stage = Stage::prepare().await;
    let proxy = Proxy::with(&stage, replica(&stage, "cut-off")).await;
    let mut cut_off = proxy.operator();
    cut_off.wait_until_ready().await.unwrap();
    comes_to_lead(&cut_off, SOON, "it leads").await;
    stage.create("before", spec("before")).await;
    stage.ready("before", "Refreshed").await;
    eventually(SOON, "it tells of the resource", || async {
        tells_of_resources(&cut_off).await.then_some(())
    })
    .await;
    let other = start(&replica(&stage, "other")).await;
    proxy.refuse(true);
    proxy.cut();
    eventually(TAKEN_OVER, "the other leads", || async {
        let (old, new) = (leads(&cut_off).await, leads(&other).await);
        assert!(!(old && new), "two leaders at once");
        new.then_some(())
    })
    .await;
    proxy.refuse(false);
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    assert!(!leads(&cut_off).await, "it waits for its turn");
    assert!(cut_off.is_running().unwrap(), "and does not exit");
    assert!(
        !tells_of_resources(&cut_off).await,
        "what it knew is old now"
    );
    assert!(tells_of_resources(&other).await);
    assert_eq!(stage.calls(), 2, "one call of each leader");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_goes_with_the_service_account_when_nobody_gives_it_back() {
    let stage = Stage::prepare().await;
    let mut operator = start(&replica(&stage, "only")).await;
    comes_to_lead(&operator, SOON, "it leads").await;
    let leases: Api<Lease> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let lease = leases.get(LEASE_NAME).await.unwrap();
    let account = stage.accounts().get(WORKLOAD_NAME).await.unwrap();
    let owners = lease.metadata.owner_references.unwrap();
    assert_eq!(
        (owners[0].name.as_str(), &owners[0].uid),
        (WORKLOAD_NAME, account.metadata.uid.as_ref().unwrap())
    );
    operator.kill().unwrap();
    stage
        .accounts()
        .delete(WORKLOAD_NAME, &DeleteParams::default())
        .await
        .unwrap();
    eventually(SOON, "the Lease to go", || async {
        let left = leases.get_opt(LEASE_NAME).await.unwrap();
        left.is_none().then_some(())
    })
    .await;
}
