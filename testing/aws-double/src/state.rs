//! Everything that a double knows, behind one lock. The lock is never held across an await.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::config::{Config, Role, Settings};
use crate::fault_table::FaultTable;
use crate::ledger::Ledger;

/// Temporary credentials that STS issued. The secret key is not kept: signatures are not verified.
pub(crate) struct Session {
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session>`.
    pub(crate) arn: String,
    /// ARN of the role.
    pub(crate) role: String,
    /// What must stand in `X-Amz-Security-Token`.
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
}

/// What is behind the lock.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) clock_offset: SignedDuration,
    pub(crate) identities: BTreeMap<String, String>,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) faults: FaultTable,
    pub(crate) ledger: Ledger,
    /// Authorization tokens issued so far.
    pub(crate) tokens_issued: u64,
    /// Sessions issued so far.
    pub(crate) sessions_issued: u64,
    /// Requests seen so far, for request ids.
    pub(crate) requests: u64,
}

impl State {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            settings: config.settings,
            clock_offset: SignedDuration::ZERO,
            identities: config.identities,
            sessions: HashMap::new(),
            roles: config
                .roles
                .into_iter()
                .map(|role| (role.arn.clone(), role))
                .collect(),
            faults: FaultTable::default(),
            ledger: Ledger::default(),
            tokens_issued: 0,
            sessions_issued: 0,
            requests: 0,
        }
    }

    /// The time by the double's clock.
    pub(crate) fn now(&self) -> Timestamp {
        later(Timestamp::now(), self.clock_offset)
    }

    /// Moves the clock on.
    pub(crate) fn advance_clock(&mut self, by: SignedDuration) {
        self.clock_offset = self.clock_offset.saturating_add(by);
    }
}

/// A time moved by a duration, held at the ends of what can be written.
pub(crate) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    let end = if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    time.checked_add(by).unwrap_or(end)
}

/// The state, and the news that the double stops.
#[derive(Clone)]
pub(crate) struct Shared {
    state: Arc<Mutex<State>>,
    running: watch::Receiver<()>,
}

impl Shared {
    /// The state lives until the sender's side is dropped.
    pub(crate) fn new(state: State, running: watch::Receiver<()>) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
            running,
        }
    }

    /// Locks the state. A panic elsewhere leaves counters at worst one off, which is better than a second panic.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the double stops.
    pub(crate) async fn stopped(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }
}
