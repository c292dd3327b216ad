//! Metrics in the OpenMetrics text format.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use ecr_secret_engine::Usage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::resources::Resources;
pub use super::resources::{ResourceLabels, ResourceState};

/// Names how something ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabels {
    /// `Refreshed`, or the reason of the failure.
    pub result: &'static str,
}

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    resources: Resources,
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
    /// How many scopes work. A replica leads in all of them or in none, but they do not begin and end at the same moment.
    working: Mutex<usize>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ecr_secret");
        let metrics = Self {
            resources: Resources::default(),
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
            working: Mutex::default(),
            registry: Registry::default(),
        };
        metrics.resources.register(&mut registry);
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
    pub fn resource(&self, labels: &ResourceLabels, state: &ResourceState) {
        self.resources.set(labels, state);
    }

    /// Forgets a resource.
    pub fn forget(&self, labels: &ResourceLabels) {
        self.resources.forget(labels);
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

    /// Tells that a scope begins (true) or ends to work, because this replica leads or does not any more. What the replica
    /// knows of resources then gets old, so it is not told any more.
    pub fn leads(&self, leading: bool) {
        // Nothing between the lock and its end can panic half way.
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        *working = if leading {
            *working + 1
        } else {
            working.saturating_sub(1)
        };
        self.leading.set(i64::from(*working > 0));
        if *working == 0 {
            self.resources.forget_all();
        }
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

#[cfg(test)]
mod tests;
