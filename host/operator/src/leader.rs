//! Leader election by a `coordination.k8s.io/v1` Lease, so that two replicas are safe.
//!
//! The holder renews every [`RENEW_EVERY`]. It stops working when it could not renew for
//! [`STEP_DOWN_AFTER`], well before others may take the Lease after [`LEASE_DURATION`]. Another's
//! Lease is judged by when *we* last saw it change, not by its clock. Each write names the
//! `resourceVersion` that it was decided on, so two candidates cannot both win. A replica that loses
//! the Lease does not exit: it waits for its turn. On a graceful end the Lease is given back. It goes
//! with the service account: `helm uninstall` takes permissions away before the pod has ended.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::owner;

/// How long a Lease is good without renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long a holder works on without having renewed: two thirds of the Lease.
pub const STEP_DOWN_AFTER: Duration = Duration::from_secs(10);
/// How often the holder renews, and the others look.
pub const RENEW_EVERY: Duration = Duration::from_secs(2);

/// A candidate for the Lease.
pub struct Candidate {
    client: Client,
    namespace: String,
    name: String,
    identity: String,
    /// The last state of the Lease that we saw, and when we first saw it.
    seen: Option<(LeaseSpec, Instant)>,
    renewed: Option<Instant>,
}

impl Candidate {
    /// A candidate named `identity` for the Lease `name` in `namespace`.
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity,
            seen: None,
            renewed: None,
        }
    }

    /// Competes until `stop` is true, telling through `leading` whether this replica leads.
    pub async fn run(mut self, leading: watch::Sender<bool>, mut stop: watch::Receiver<bool>) {
        loop {
            match timeout(RENEW_EVERY, self.try_once()).await {
                Ok(Ok(holds)) => self.tell(&leading, holds),
                Ok(Err(error)) => {
                    warn!(lease = self.name, %error, "leader election: the Lease could not be read or written; trying again");
                }
                Err(_) => warn!(
                    lease = self.name,
                    "leader election: the API server did not answer in time; trying again"
                ),
            }
            if *leading.borrow() && self.renewed.is_none_or(|at| at.elapsed() > STEP_DOWN_AFTER) {
                self.tell(&leading, false);
            }
            tokio::select! {
                () = tokio::time::sleep(RENEW_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
    }

    /// Gives the Lease back, if this replica holds it, so that another can go on at once.
    ///
    /// # Errors
    /// What the API server answered; the Lease then runs out by itself.
    pub async fn release(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
    ) -> kube::Result<()> {
        let api: Api<Lease> = Api::namespaced(client, namespace);
        let Some(mut lease) = api.get_opt(name).await? else {
            return Ok(());
        };
        let Some(spec) = lease
            .spec
            .as_mut()
            .filter(|spec| spec.holder_identity.as_deref() == Some(identity))
        else {
            return Ok(());
        };
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        api.replace(name, &PostParams::default(), &lease).await?;
        Ok(())
    }

    fn tell(&self, leading: &watch::Sender<bool>, holds: bool) {
        let changed = leading.send_if_modified(|now| std::mem::replace(now, holds) != holds);
        if changed {
            info!(
                lease = self.name,
                identity = self.identity,
                leading = holds,
                "leader election"
            );
        }
    }

    /// Takes or renews the Lease if that is allowed; says whether this replica holds it now.
    async fn try_once(&mut self) -> kube::Result<bool> {
        let started = Instant::now();
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let written = match api.get_opt(&self.name).await? {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        owner_references: self.owner().await,
                        ..ObjectMeta::default()
                    },
                    spec: None,
                };
                api.create(&PostParams::default(), &self.claim(lease)).await
            }
            Some(lease) => {
                if !self.may_take(lease.spec.clone().unwrap_or_default()) {
                    return Ok(false);
                }
                api.replace(&self.name, &PostParams::default(), &self.claim(lease))
                    .await
            }
        };
        match written {
            Ok(_) => {
                self.renewed = Some(started);
                Ok(true)
            }
            // Another candidate was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is not known is left out: then the Lease stays when all else is uninstalled.
    async fn owner(&self) -> Option<Vec<OwnerReference>> {
        let owner = owner::service_account(self.client.clone(), &self.namespace).await;
        let owner = owner.unwrap_or_else(|error| {
            warn!(lease = self.name, %error, "leader election: the API server did not say who we are; nobody owns the Lease");
            None
        });
        owner.map(|owner| vec![owner])
    }

    fn may_take(&mut self, spec: LeaseSpec) -> bool {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        let duration = Duration::from_secs(
            spec.lease_duration_seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .unwrap_or(0),
        );
        match &self.seen {
            Some((seen, since)) if *seen == spec => since.elapsed() > duration,
            _ => {
                self.seen = Some((spec, Instant::now()));
                false
            }
        }
    }

    fn claim(&self, mut lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            spec.holder_identity = Some(self.identity.clone());
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
        }
        spec.lease_duration_seconds = i32::try_from(LEASE_DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }
}
