//! What a broker is made of.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ecr_secret_core::reason::Reason;
use jiff::Timestamp;

use super::backoff::Backoff;
use super::environment::Environment;
use super::{TokenKey, identity};

/// Time limits of one call of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For opening a connection.
    pub connect: Duration,
    /// For a request and its answer, and for the silence between two parts of it.
    pub attempt: Duration,
    /// For everything that belongs to one operation.
    pub operation: Duration,
}

impl Default for Timeouts {
    /// 3 s, 4 s and 10 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(4),
            operation: Duration::from_secs(10),
        }
    }
}

/// How often AWS may be called, over all keys. ECR allows 20 calls a second with bursts of 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in a second, in the long run.
    pub per_second: NonZeroU32,
    /// Calls at once after a pause.
    pub burst: NonZeroU32,
}

impl Default for Rate {
    /// 10 a second with bursts of 100.
    fn default() -> Self {
        let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            per_second: number(10),
            burst: number(100),
        }
    }
}

/// Gets told of every attempt to have a token from AWS.
pub trait BrokerMetrics: Send + Sync {
    /// One attempt has ended after `took`, well or with a reason.
    fn attempted(&self, key: &TokenKey, result: Result<(), Reason>, took: Duration);
}

/// Counts nothing.
impl BrokerMetrics for () {
    fn attempted(&self, _: &TokenKey, _: Result<(), Reason>, _: Duration) {}
}

/// Where the broker takes the time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a [`Broker`] is made of.
#[derive(Clone)]
pub struct BrokerOptions {
    /// The variables that tell of credentials and endpoints.
    pub environment: Environment,
    /// The token file that goes with `ROLEARN` when `AWS_WEB_IDENTITY_TOKEN_FILE` is not set.
    pub openshift_token: String,
    /// Time limits of one call.
    pub timeouts: Timeouts,
    /// Waits after failures.
    pub backoff: Backoff,
    /// The rate limit over all keys.
    pub rate: Rate,
    /// How often the credentials files are looked at; they are also looked at before each call.
    pub recheck: Duration,
    /// The clock for token lives and waits.
    pub clock: Clock,
    /// Gets told of every attempt.
    pub metrics: Arc<dyn BrokerMetrics>,
}

impl BrokerOptions {
    /// The usual options with this environment.
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            openshift_token: identity::OPENSHIFT_TOKEN.to_owned(),
            timeouts: Timeouts::default(),
            backoff: Backoff::default(),
            rate: Rate::default(),
            recheck: Duration::from_secs(10),
            clock: Arc::new(Timestamp::now),
            metrics: Arc::new(()),
        }
    }
}

impl fmt::Debug for BrokerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerOptions")
            .field("environment", &self.environment)
            .field("timeouts", &self.timeouts)
            .field("backoff", &self.backoff)
            .field("rate", &self.rate)
            .field("recheck", &self.recheck)
            .finish_non_exhaustive()
    }
}
