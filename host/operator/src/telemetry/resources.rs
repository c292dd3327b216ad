//! What is measured of each resource. Its series vanish with the resource, and with the lead.

use std::sync::atomic::AtomicU64;

use ecr_secret_core::api::{CONDITION_READY, ConditionStatus, Status};
use ecr_secret_core::reason::Reason;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
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

/// What is told of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceState {
    /// Whether its Secret is good.
    pub ready: bool,
    /// Whether its renewal is suspended on purpose: by `spec.suspend`, or by a policy or a guardrail that denies it.
    pub suspended: bool,
    /// When the token in its Secret expires.
    pub expires: Option<Timestamp>,
    /// When that token is renewed.
    pub next_refresh: Option<Timestamp>,
}

impl From<&Status> for ResourceState {
    fn from(status: &Status) -> Self {
        let ready = status.condition(CONDITION_READY);
        let reason = ready.and_then(|ready| Reason::of_word(&ready.reason));
        Self {
            ready: ready.is_some_and(|ready| ready.status == ConditionStatus::True),
            suspended: reason.is_some_and(|reason| reason == Reason::Suspended || reason.forbids()),
            expires: status.expires_at.map(Into::into),
            next_refresh: status.next_refresh_time.map(Into::into),
        }
    }
}

type Times = Family<ResourceLabels, Gauge<f64, AtomicU64>>;

/// The series of all resources.
#[derive(Debug, Default)]
pub(super) struct Resources {
    ready: Family<ResourceLabels, Gauge>,
    suspended: Family<ResourceLabels, Gauge>,
    expires: Times,
    next_refresh: Times,
}

impl Resources {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ready",
            "Whether the resource's Secret is good (1) or not (0)",
            self.ready.clone(),
        );
        registry.register(
            "suspended",
            "Whether the renewal is suspended on purpose (1): by spec.suspend, or by a policy or guardrail that denies it",
            self.suspended.clone(),
        );
        registry.register_with_unit(
            "expires_timestamp",
            "When the token in the Secret dies, since the Unix epoch",
            Unit::Seconds,
            self.expires.clone(),
        );
        registry.register_with_unit(
            "next_refresh_timestamp",
            "When the token is renewed, since the Unix epoch",
            Unit::Seconds,
            self.next_refresh.clone(),
        );
    }

    pub(super) fn set(&self, labels: &ResourceLabels, state: &ResourceState) {
        let truth = |family: &Family<ResourceLabels, Gauge>, value: bool| {
            family.get_or_create(labels).set(i64::from(value));
        };
        let time = |family: &Times, time: Option<Timestamp>| match time {
            Some(time) => {
                let seconds = time.as_duration().as_secs_f64();
                family.get_or_create(labels).set(seconds);
            }
            None => {
                family.remove(labels);
            }
        };
        truth(&self.ready, state.ready);
        truth(&self.suspended, state.suspended);
        time(&self.expires, state.expires);
        time(&self.next_refresh, state.next_refresh);
    }

    pub(super) fn forget(&self, labels: &ResourceLabels) {
        self.ready.remove(labels);
        self.suspended.remove(labels);
        self.expires.remove(labels);
        self.next_refresh.remove(labels);
    }

    pub(super) fn forget_all(&self) {
        self.ready.clear();
        self.suspended.clear();
        self.expires.clear();
        self.next_refresh.clear();
    }
}
