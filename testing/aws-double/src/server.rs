//! The handle on a double in this process.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin;
use crate::client::DoubleClient;
use crate::config::{Config, DEFAULT_SECRET_ACCESS_KEY, Role, Settings, SettingsChange};
use crate::conn::{Acceptor, ResetSwitch};
use crate::fault::{FaultId, FaultRule, InstalledFault};
use crate::ledger::{CallRecord, Counts};
use crate::service::call;
use crate::state::{Shared, State};

/// A running double. It serves on the runtime that started it, and stops when it is dropped: the port closes, calls under way
/// are reset.
pub struct AwsDouble {
    address: SocketAddr,
    shared: Shared,
    /// Dropping it is what stops the server.
    _running: watch::Sender<()>,
}

impl fmt::Debug for AwsDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsDouble")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl AwsDouble {
    /// Starts with the defaults of [`Config`]: a free port of 127.0.0.1, one identity, no role.
    ///
    /// # Panics
    /// When no port of 127.0.0.1 can be had; [`AwsDouble::start_with`] gives that as an error.
    #[allow(clippy::expect_used, reason = "the short form for tests, documented")]
    pub async fn start() -> Self {
        Self::start_with(Config::default())
            .await
            .expect("bind a free port of 127.0.0.1 for the AWS double")
    }

    /// Starts as told.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_with(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let (running, ends) = watch::channel(());
        let shared = Shared::new(State::new(config), ends);
        let router = Router::new()
            .route("/", post(call))
            .merge(admin::routes())
            .with_state(shared.clone());
        let service = router.into_make_service_with_connect_info::<ResetSwitch>();
        let end = shared.clone();
        let server = axum::serve(Acceptor(listener), service)
            .with_graceful_shutdown(async move { end.stopped().await });
        tokio::spawn(async move { server.await });
        Ok(Self {
            address,
            shared,
            _running: running,
        })
    }

    /// The value for `AWS_ENDPOINT_URL`, such as `http://127.0.0.1:40001`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of this double's admin API.
    pub fn client(&self) -> DoubleClient {
        DoubleClient::new(self.endpoint())
    }

    /// The environment for a process that is to reach the double through the AWS SDK with the first static identity. Any secret
    /// key is accepted. The instance metadata service, which the double is not, is switched off.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        if let Some(key) = self.shared.lock().identities.keys().next() {
            environment.push(("AWS_ACCESS_KEY_ID", key.clone()));
            environment.push((
                "AWS_SECRET_ACCESS_KEY",
                DEFAULT_SECRET_ACCESS_KEY.to_owned(),
            ));
        }
        environment
    }

    /// Puts a fault in force, after those already there. `set_fault(Fault::Hang)`, or a [`FaultRule`] with limits.
    pub fn set_fault(&self, rule: impl Into<FaultRule>) -> FaultId {
        self.shared.lock().faults.add(rule.into(), Instant::now())
    }

    /// Takes one fault out; false when it is no longer there.
    pub fn clear_fault(&self, id: FaultId) -> bool {
        self.shared.lock().faults.remove(id)
    }

    /// Takes all faults out. Calls that hang already go on hanging.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// The faults in force, oldest first.
    pub fn faults(&self) -> Vec<InstalledFault> {
        self.shared.lock().faults.list()
    }

    /// Life of the authorization tokens issued from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.shared.lock().settings.token_life = life;
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.shared.lock().settings.clone()
    }

    /// Changes settings.
    pub fn change_settings(&self, change: SettingsChange) {
        self.shared.lock().settings.apply(change);
    }

    /// The time by the double's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.lock().now()
    }

    /// Moves the double's clock on: sessions expire by it, and new tokens count from it.
    pub fn advance_clock(&self, by: Duration) {
        self.shared
            .lock()
            .advance_clock(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX));
    }

    /// Sets the double's clock to the machine's plus an offset.
    pub fn set_clock_offset(&self, offset: SignedDuration) {
        self.shared.lock().clock_offset = offset;
    }

    /// Counters since the start or the last reset.
    pub fn counts(&self) -> Counts {
        self.shared.lock().ledger.counts()
    }

    /// The call log, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.shared.lock().ledger.calls()
    }

    /// Sets the counters to zero and empties the call log.
    pub fn reset_counts(&self) {
        self.shared.lock().ledger.reset();
    }

    /// Accepts a static access key id as this ARN; replaces what was known of it.
    pub fn add_static_identity(&self, access_key_id: impl Into<String>, arn: impl Into<String>) {
        self.shared
            .lock()
            .identities
            .insert(access_key_id.into(), arn.into());
    }

    /// Forgets a static access key id, as if the key had been deleted; false when it was not known.
    pub fn remove_static_identity(&self, access_key_id: &str) -> bool {
        self.shared
            .lock()
            .identities
            .remove(access_key_id)
            .is_some()
    }

    /// Makes a role known, or replaces the one of the same ARN.
    pub fn add_role(&self, role: Role) {
        self.shared.lock().roles.insert(role.arn.clone(), role);
    }
}
