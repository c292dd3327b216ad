//! What every reconcile shares.

use std::sync::Arc;

use kube::Client;
use kube::runtime::events::Recorder;

use crate::aws::Broker;
use crate::effects::accounts::Accounts;
use crate::policies::Policies;
use crate::telemetry::metrics::Metrics;
use crate::turns::Turns;
use crate::watch::Wakers;
use crate::world::World;

/// The operator's parts, for one scope: all namespaces, or one of those to be served.
pub struct Context {
    /// Speaks to the API server.
    pub client: Client,
    /// What is known of the scope.
    pub world: Arc<World>,
    /// Wakes other resources, when what one found concerns them.
    pub wakers: Arc<Wakers>,
    /// Gets tokens.
    pub broker: Broker,
    /// Asks policies.
    pub policies: Arc<Policies>,
    /// Links service accounts.
    pub accounts: Accounts,
    /// Publishes events.
    pub recorder: Recorder,
    /// Who may write next; all scopes share them.
    pub turns: Arc<Turns>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}
