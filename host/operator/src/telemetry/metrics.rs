//! Metrics in the OpenMetrics text format. The series of a resource vanish with the resource.

use std::fmt::Write;
use std::sync::atomic::AtomicU64;

use ecr_secret_engine::Usage;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Names one resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResourceLabels {
    /// `Secret` or `ArgoHelmRepoSecret`.
    pub kind: &'static str,
    /// The resource's namespace.
    pub namespace: String,
    /// The resource's name.
    pub name: String,
}

/// Names how something ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabels {
    /// `Refreshed`, or the reason of the failure.
    pub result: &'static str,
}

type Times = Family<ResourceLabels, Gauge<f64, AtomicU64>>;

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    ready: Family<ResourceLabels, Gauge>,
    expires: Times,
    next_refresh: Times,
    refreshes: Family<ResultLabels, Counter>,
    /// Seconds from the start of a reconcile that renewed a token to the written Secret.
    pub refresh_duration: Histogram,
    reconciles: Family<ResultLabels, Counter>,
    policy_evaluations: Family<ResultLabels, Counter>,
    policy_compilations: Family<ResultLabels, Counter>,
    policy_duration: Histogram,
    policy_fuel: Histogram,
    aws_requests: Family<ResultLabels, Counter>,
    leading: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ecr_secret");
        let metrics = Self {
            ready: Family::default(),
            expires: Family::default(),
            next_refresh: Family::default(),
            refreshes: Family::default(),
            refresh_duration: Histogram::new([
                0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            ]),
            reconciles: Family::default(),
            policy_evaluations: Family::default(),
            policy_compilations: Family::default(),
            policy_duration: Histogram::new([
                0.000_02, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.01, 0.1,
            ]),
            policy_fuel: Histogram::new([1e3, 1e4, 1e5, 1e6, 1e7]),
            aws_requests: Family::default(),
            leading: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "ready",
            "Whether the resource's Secret is good (1) or not (0)",
            metrics.ready.clone(),
        );
        registry.register_with_unit(
            "expires_timestamp",
            "When the token in the Secret dies, since the Unix epoch",
            Unit::Seconds,
            metrics.expires.clone(),
        );
        registry.register_with_unit(
            "next_refresh_timestamp",
            "When the token is renewed, since the Unix epoch",
            Unit::Seconds,
            metrics.next_refresh.clone(),
        );
        registry.register(
            "refresh",
            "Attempts to write a fresh token, by result",
            metrics.refreshes.clone(),
        );
        registry.register_with_unit(
            "refresh_duration",
            "Time from the start of a reconcile to the written Secret",
            Unit::Seconds,
            metrics.refresh_duration.clone(),
        );
        registry.register(
            "reconcile",
            "Reconciles, by the reason of Ready after them",
            metrics.reconciles.clone(),
        );
        registry.register(
            "policy_evaluation",
            "Policy evaluations, by result",
            metrics.policy_evaluations.clone(),
        );
        registry.register(
            "policy_compilation",
            "Policy modules that went to the compiler, by result",
            metrics.policy_compilations.clone(),
        );
        registry.register_with_unit(
            "policy_evaluation_duration",
            "Time of one policy evaluation",
            Unit::Seconds,
            metrics.policy_duration.clone(),
        );
        registry.register(
            "policy_fuel",
            "Fuel of one policy evaluation",
            metrics.policy_fuel.clone(),
        );
        registry.register(
            "aws_requests",
            "Calls of GetAuthorizationToken, by result",
            metrics.aws_requests.clone(),
        );
        registry.register(
            "leading",
            "Whether this replica leads (1) or waits (0)",
            metrics.leading.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// Tells the state of one resource.
    pub fn resource(
        &self,
        labels: &ResourceLabels,
        ready: bool,
        expires: Option<Timestamp>,
        next_refresh: Option<Timestamp>,
    ) {
        self.ready.get_or_create(labels).set(i64::from(ready));
        set(&self.expires, labels, expires);
        set(&self.next_refresh, labels, next_refresh);
    }

    /// Forgets a resource.
    pub fn forget(&self, labels: &ResourceLabels) {
        self.ready.remove(labels);
        self.expires.remove(labels);
        self.next_refresh.remove(labels);
    }

    /// Counts an attempt to write a fresh token.
    pub fn refreshed(&self, result: &'static str) {
        self.refreshes.get_or_create(&ResultLabels { result }).inc();
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, result: &'static str) {
        self.reconciles
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    /// Tells what one policy evaluation took.
    pub fn ran(&self, usage: &Usage) {
        self.policy_duration.observe(usage.wall_time.as_secs_f64());
        #[expect(
            clippy::cast_precision_loss,
            reason = "a histogram needs no exact fuel"
        )]
        self.policy_fuel.observe(usage.fuel as f64);
    }

    /// Counts a module that went to the compiler.
    pub fn compiled(&self, result: &'static str) {
        self.policy_compilations
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    /// Counts a policy evaluation.
    pub fn evaluated(&self, result: &'static str) {
        self.policy_evaluations
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    /// Counts a call to AWS.
    pub fn aws_request(&self, result: &'static str) {
        self.aws_requests
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    /// Tells whether this replica leads.
    pub fn leads(&self, leading: bool) {
        self.leading.set(i64::from(leading));
    }

    /// Everything as OpenMetrics text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            let _ = write!(text, "# encoding failed: {error}"); // writing to a String cannot fail
        }
        text
    }
}

fn set(family: &Times, labels: &ResourceLabels, time: Option<Timestamp>) {
    match time {
        Some(time) => {
            family
                .get_or_create(labels)
                .set(time.as_duration().as_secs_f64());
        }
        None => {
            family.remove(labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_resource_vanish_with_it() {
        let metrics = Metrics::default();
        let labels = ResourceLabels {
            kind: "Secret",
            namespace: "ns".into(),
            name: "a".into(),
        };
        metrics.resource(&labels, true, Some(Timestamp::UNIX_EPOCH), None);
        let text = metrics.render();
        assert!(
            text.contains(r#"ecr_secret_ready{kind="Secret",namespace="ns",name="a"} 1"#),
            "{text}"
        );
        assert!(
            text.contains("ecr_secret_expires_timestamp_seconds{"),
            "{text}"
        );
        assert!(
            !text.contains("ecr_secret_next_refresh_timestamp_seconds{"),
            "{text}"
        );
        metrics.forget(&labels);
        assert!(!metrics.render().contains("namespace=\"ns\""));
    }

    #[test]
    fn counters_carry_the_names_that_are_documented() {
        let metrics = Metrics::default();
        metrics.refreshed("Refreshed");
        assert!(
            metrics
                .render()
                .contains(r#"ecr_secret_refresh_total{result="Refreshed"} 1"#)
        );
    }
}
