//! The token broker: the only place that talks to AWS.
//!
//! A thousand resources of one region cost one call of ECR. The [`Broker`] keeps one token for each
//! [`TokenKey`], lets concurrent askers share one call, remembers failures so that nobody hammers
//! AWS, stays below the service's quota, and notices within seconds that the credentials on disk
//! changed. It never hands out an answer that is not a living token.
//!
//! The SDK signs, sends and parses. What it would read from the environment and from profile files is
//! read here instead: the SDK caches a profile for the life of the process, takes quotes for a part
//! of a key, and its loader ends the process on `max_attempts = 0`. Settings that are understood: all
//! forms of credentials that need no program and no browser, `region`, `use_fips_endpoint`,
//! `use_dualstack_endpoint` and their variables, `AWS_ENDPOINT_URL` and its forms for ECR, ECR
//! Public and STS (from the environment only).

mod answer;
mod backoff;
mod broker;
mod chain;
mod classify;
mod client;
mod credentials;
mod environment;
mod identity;
mod memory;
mod options;
mod problem;
mod profile;
mod region;

pub use backoff::{Backoff, Waits};
pub use broker::Broker;
pub use ecr_secret_core::decide::Freshness;
pub use environment::Environment;
pub use options::{BrokerMetrics, BrokerOptions, Clock, Rate, Timeouts};

use ecr_secret_core::reason::Reason;
use ecr_secret_core::registry::RegistryKind;
use jiff::Timestamp;

/// What a token opens: all registries of one kind in one region, as far as the identity may.
///
/// The identity is not a part of it; the broker has one at a time and forgets all tokens with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    /// The AWS region. Of no meaning for [`RegistryKind::Public`], which has one for the world.
    pub region: String,
    /// ECR or ECR Public.
    pub kind: RegistryKind,
}

/// Why there is no token, and when asking again makes sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The stable word for it.
    pub reason: Reason,
    /// One line: the step, the object, what to do. It never holds a secret.
    pub message: String,
    /// Until then the broker gives this same answer without a call.
    pub retry_at: Timestamp,
    /// Whether it may pass by itself; otherwise somebody has to change something.
    pub waiting_helps: bool,
}
