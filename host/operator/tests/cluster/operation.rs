//! What the one who runs the operator sees and relies on: endpoints, a graceful end, events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_double::Fault;
use ecr_secret_core::api::Time;
use ecr_secret_core::manifests::Scope;
use jiff::Timestamp;
use kube::api::DeleteParams;
use serde_json::json;
use test_cluster::{ControlPlane, Options};
use test_stage::Operator;

use crate::support::{SOON, Stage, eventually, spec, state};

/// The promise of a graceful end.
const GRACE: Duration = Duration::from_secs(10);
#[tokio::test(flavor = "multi_thread")]
async fn ready_means_that_the_caches_are_filled_and_crds_may_come_later() {
    let plane = Arc::new(ControlPlane::start(Options::default()).await.unwrap());
    let stage = Stage::prepare_on(Arc::clone(&plane) as _, |own| {
        Scope::Namespaces(vec![own.to_owned()])
    })
    .await;
    plane
        .run_kubectl(&[
            "delete",
            "crd",
            "secrets.ecr.mobb.redhat.com",
            "argohelmreposecrets.ecr.mobb.redhat.com",
        ])
        .unwrap();
    let mut operator = Operator::start(&stage.setup).unwrap();
    eventually(SOON, "all but the missing kinds", || async {
        let (code, text) = operator
            .health("/readyz")
            .await
            .map_err(|error| error.to_string())?;
        let only_ours = code == 503
            && text.contains("secrets.ecr.mobb.redhat.com")
            && text.contains("argohelmreposecrets.ecr.mobb.redhat.com")
            && !text.contains("serviceaccounts");
        if only_ours {
            Ok(())
        } else {
            Err(format!("{code} {text}"))
        }
    })
    .await;
    assert_eq!(
        operator.health("/healthz").await.unwrap(),
        (200, "ok".to_owned())
    );

    test_stage::install_crds(&stage.client).await.unwrap();
    // The watches of kinds that are not there wait up to half a minute.
    eventually(3 * SOON, "ready", || async {
        operator
            .health("/readyz")
            .await
            .ok()
            .filter(|(code, _)| *code == 200)
    })
    .await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    assert!(operator.is_running().unwrap(), "without a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_what_is_documented_and_forget_what_is_gone() {
    let (stage, operator) = Stage::with_operator().await;
    stage.create("good", spec("good")).await;
    let mut bad = spec("bad");
    bad["region"] = json!("xx-invalid-99");
    stage.create("bad", bad).await;
    let status = stage.ready("good", "Refreshed").await;
    stage
        .status("bad", "told", |status| status.condition("Ready").is_some())
        .await;

    let labels = |name: &str| {
        format!(
            "{{kind=\"Secret\",namespace=\"{}\",name=\"{name}\"}}",
            stage.namespace
        )
    };
    let metrics = operator.metrics().await.unwrap();
    let value = |series: &str| -> Option<f64> {
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    };
    assert_eq!(
        value(&format!("ecr_secret_ready{}", labels("good"))),
        Some(1.0),
        "{metrics}"
    );
    assert_eq!(
        value(&format!("ecr_secret_ready{}", labels("bad"))),
        Some(0.0),
        "{metrics}"
    );
    let at = |name: &str, time: Time| {
        let told = value(&format!(
            "ecr_secret_{name}_timestamp_seconds{}",
            labels("good")
        ))
        .unwrap_or_else(|| panic!("no {name}: {metrics}"));
        let wanted = Timestamp::from(time).as_duration().as_secs_f64();
        assert!((told - wanted).abs() < 2.0, "{name}: {told}, not {wanted}");
    };
    at("expires", status.expires_at.unwrap());
    at("next_refresh", status.next_refresh_time.unwrap());
    assert_eq!(
        value("ecr_secret_refresh_total{result=\"Refreshed\"}"),
        Some(1.0),
        "{metrics}"
    );
    assert_eq!(
        value("ecr_secret_refresh_duration_seconds_count"),
        Some(1.0),
        "{metrics}"
    );
    assert_eq!(value("ecr_secret_leading"), Some(1.0), "{metrics}");
    assert!(
        value("ecr_secret_aws_requests_total{result=\"Refreshed\"}") == Some(1.0),
        "{metrics}"
    );
    assert!(
        metrics.contains("ecr_secret_reconcile_total{result=\"Refreshed\"}"),
        "{metrics}"
    );
    assert!(
        metrics.trim_end().ends_with("# EOF"),
        "OpenMetrics has an end"
    );

    for name in ["good", "bad"] {
        stage
            .resources()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    let series = format!("namespace=\"{}\"", stage.namespace);
    eventually(SOON, "the series vanish", || async {
        let metrics = operator
            .metrics()
            .await
            .map_err(|error| error.to_string())?;
        if metrics.contains(&series) {
            Err(metrics)
        } else {
            Ok(())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_ends_in_time_while_aws_does_not_answer() {
    let (stage, mut operator) = Stage::with_operator().await;
    stage.create("good", spec("good")).await;
    stage.ready("good", "Refreshed").await;
    let good = stage.secret("good").await;
    stage.aws.set_fault(Fault::Hang);
    let mut elsewhere = spec("a");
    elsewhere["region"] = json!("eu-west-1");
    stage.create("a", elsewhere).await;
    eventually(SOON, "a call hangs", || async {
        stage
            .aws
            .calls()
            .iter()
            .any(|call| call.outcome == "unanswered")
            .then_some(())
    })
    .await;
    let begun = Instant::now();
    let ended = operator.terminate(GRACE).await.unwrap();
    assert!(ended.success(), "{ended} after {:?}", begun.elapsed());
    assert_eq!(state(&stage.secret("good").await), state(&good));

    stage.aws.clear_faults();
    let _restarted = stage.start().await;
    stage.ready("a", "Refreshed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transition_is_one_event_and_a_renewal_is_none() {
    let stage = Stage::prepare().await;
    stage.aws.set_token_life(Duration::from_secs(6));
    let _operator = stage.start().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let told = |wanted: &'static [(&'static str, i32)]| {
        let stage = &stage;
        async move {
            let wanted: Vec<(String, i32)> = wanted
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect();
            eventually(SOON, &format!("{wanted:?}"), || async {
                let events = stage.events("a").await;
                if events == wanted {
                    Ok(())
                } else {
                    Err(format!("{events:?}"))
                }
            })
            .await;
        }
    };
    told(&[("Refreshed", 1)]).await;
    for _ in 0..2 {
        let before = stage.secret("a").await;
        eventually(SOON, "a renewal", || async {
            stage
                .secrets()
                .get("a")
                .await
                .ok()
                .filter(|now| now.data != before.data)
        })
        .await;
    }
    // The renewals' statuses come before this one.
    stage
        .change_to("a", json!({ "spec": { "suspend": true } }), "Suspended")
        .await;
    told(&[("Refreshed", 1), ("Suspended", 1)]).await;
    stage
        .change_to("a", json!({ "spec": { "suspend": false } }), "Refreshed")
        .await;
    told(&[("Refreshed", 2), ("Suspended", 1)]).await;
    stage
        .change_to("a", json!({ "spec": { "frequency": "9h" } }), "Refreshed")
        .await;
    told(&[("Refreshed", 2), ("Suspended", 1)]).await;
    let described = stage
        .cluster
        .run_kubectl(&["describe", "ecrsec", "a", "-n", &stage.namespace])
        .unwrap();
    assert!(
        described.contains("Warning")
            && described.contains("Suspended")
            && described.contains("spec.suspend is true"),
        "{described}"
    );
}
