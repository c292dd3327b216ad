#![allow(clippy::unwrap_used, reason = "tests")]

mod monitoring;

use ecr_secret_core::api::{CONDITION_READY, Condition, ConditionStatus, Status};
use ecr_secret_core::reason::Reason;
use jiff::Timestamp;

use super::*;

fn labels() -> ResourceLabels {
    ResourceLabels {
        kind: "Secret",
        namespace: "ns".into(),
        name: "a".into(),
    }
}

fn status(status: ConditionStatus, reason: Reason) -> Status {
    Status {
        conditions: vec![Condition {
            type_: CONDITION_READY.to_owned(),
            status,
            reason: reason.as_str().to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Timestamp::UNIX_EPOCH.into(),
        }],
        expires_at: Some(Timestamp::UNIX_EPOCH.into()),
        ..Status::default()
    }
}

/// The value of a series of the resource `a`.
fn value(metrics: &Metrics, name: &str) -> Option<String> {
    let series = format!(r#"{name}{{kind="Secret",namespace="ns",name="a"}} "#);
    let text = metrics.render();
    let found = text.lines().find_map(|line| line.strip_prefix(&series));
    found.map(str::to_owned)
}

#[test]
fn the_series_of_a_resource_vanish_with_it() {
    let metrics = Metrics::default();
    let good = status(ConditionStatus::True, Reason::Refreshed);
    metrics.resource(&labels(), &(&good).into());
    assert_eq!(value(&metrics, "ecr_secret_ready").unwrap(), "1");
    assert_eq!(value(&metrics, "ecr_secret_suspended").unwrap(), "0");
    assert!(value(&metrics, "ecr_secret_expires_timestamp_seconds").is_some());
    let next_refresh = value(&metrics, "ecr_secret_next_refresh_timestamp_seconds");
    assert_eq!(next_refresh, None, "nothing is planned");
    metrics.forget(&labels());
    assert!(!metrics.render().contains("namespace=\"ns\""));
}

#[test]
fn only_what_somebody_wants_is_suspended() {
    let metrics = Metrics::default();
    for (reason, suspended) in [
        (Reason::Suspended, "1"),
        (Reason::PolicyDenied, "1"),
        (Reason::GuardrailDenied, "1"),
        (Reason::GuardrailFailed, "0"),
        (Reason::InvalidResource, "0"),
        (Reason::AccessDenied, "0"),
    ] {
        let bad = status(ConditionStatus::False, reason);
        metrics.resource(&labels(), &(&bad).into());
        assert_eq!(value(&metrics, "ecr_secret_ready").unwrap(), "0");
        let told = value(&metrics, "ecr_secret_suspended").unwrap();
        assert_eq!(told, suspended, "{reason}");
    }
}

#[test]
fn a_replica_that_loses_the_lead_tells_nothing_of_resources_any_more() {
    let metrics = Metrics::default();
    let tell = || {
        let good = status(ConditionStatus::True, Reason::Refreshed);
        metrics.resource(&labels(), &(&good).into());
    };
    // Two scopes: the second ends after the first.
    metrics.leads(true);
    metrics.leads(true);
    tell();
    metrics.leads(false);
    assert!(metrics.render().contains("ecr_secret_leading 1"));
    assert!(value(&metrics, "ecr_secret_ready").is_some());
    metrics.refreshed("Refreshed");
    metrics.leads(false);
    let text = metrics.render();
    assert!(text.contains("ecr_secret_leading 0"), "{text}");
    assert!(!text.contains("namespace=\"ns\""), "{text}");
    // What was counted stays: a counter must not go back.
    assert!(text.contains(r#"ecr_secret_refresh_total{result="Refreshed"} 1"#));
    metrics.leads(true);
    tell();
    assert!(value(&metrics, "ecr_secret_ready").is_some());
}
