//! The metrics that alerts, their tests and the dashboard name, against those that there are.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

const FILES: [(&str, &str); 3] = [
    (
        "alerts.yaml",
        include_str!("../../../../../../deploy/monitoring/alerts.yaml"),
    ),
    (
        "alerts_test.yaml",
        include_str!("../../../../../../deploy/monitoring/alerts_test.yaml"),
    ),
    (
        "dashboard.json",
        include_str!("../../../../../../deploy/monitoring/dashboard.json"),
    ),
];

/// The words that begin as our metrics do.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("ecr_secret_"))
        .collect()
}

/// All metrics, each with a value.
fn exposed() -> String {
    let metrics = Metrics::default();
    let state = ResourceState {
        ready: true,
        suspended: false,
        expires: Some(Timestamp::UNIX_EPOCH),
        next_refresh: Some(Timestamp::UNIX_EPOCH),
    };
    metrics.resource(&labels(), &state);
    metrics.leads(true);
    for count in [
        Metrics::refreshed,
        Metrics::reconciled,
        Metrics::evaluated,
        Metrics::compiled,
        Metrics::aws_request,
    ] {
        count(&metrics, "Refreshed");
    }
    metrics.refresh_duration.observe(0.1);
    metrics.ran(&Usage {
        wall_time: Duration::from_millis(1),
        ..Usage::default()
    });
    // Comments name the families, which Prometheus does not know by these names.
    let text = metrics.render();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series.collect::<Vec<_>>().join("\n")
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_there_are() {
    let exposed = exposed();
    let exposed = names(&exposed);
    for (file, text) in FILES {
        let named = names(text);
        assert!(named.len() > 5, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&exposed).collect();
        assert!(
            unknown.is_empty(),
            "{file} names {unknown:?}, there are {exposed:?}"
        );
    }
}

#[test]
fn every_metric_is_of_use() {
    let exposed = exposed();
    let used: BTreeSet<&str> = FILES
        .into_iter()
        .flat_map(|(_, text)| names(text))
        .collect();
    // A histogram is used by its buckets; the sum makes an average of them.
    let unused: Vec<_> = names(&exposed)
        .into_iter()
        .filter(|name| !used.contains(name) && !name.ends_with("_sum") && !name.ends_with("_count"))
        .collect();
    assert!(
        unused.is_empty(),
        "{unused:?} are in no alert and on no dashboard"
    );
}
