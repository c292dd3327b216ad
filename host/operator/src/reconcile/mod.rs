//! One reconcile: observe, ask the policy, decide, carry the plan out, tell.
//!
//! All judgement is in [`ecr_secret_core::decide`]; here is the order of the effects. It is chosen so
//! that a crash between any two of them loses nothing: the new Secret is written before service
//! accounts name it, they name it before the old one goes, and the status comes last. The next
//! reconcile finds what is missing, because everything is computed from the cluster's state.

mod tell;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ecr_secret_core::api::{CredentialResource, REFRESH_REQUESTED_AT};
use ecr_secret_core::decide::{Asked, Outcome, Plan, Problem};
use ecr_secret_core::reason::Reason;
use ecr_secret_core::registry::resolve;
use ecr_secret_core::render::inputs_digest;
use ecr_secret_core::schedule::Frequency;
use jiff::Timestamp;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::controller;
use kube::{Resource, ResourceExt};
use tracing::warn;

use crate::context::Context;
use crate::turns::Turn;
use crate::world::place;

/// When a Secret changed under our hands, the watch tells us within this time.
const SETTLE: Duration = Duration::from_millis(500);
/// How soon a namespace that is being deleted is looked at again: its resources go by themselves.
const ENDING: Duration = Duration::from_secs(30);

/// Why a reconcile could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server failed or refused.
    #[error("{step} for {kind} {namespace}/{name}: {source}")]
    Cluster {
        /// What was tried.
        step: &'static str,
        /// The resource's kind.
        kind: &'static str,
        /// The resource's namespace.
        namespace: String,
        /// The resource's name.
        name: String,
        /// What the client says.
        source: Box<kube::Error>,
    },
}

/// The two kinds, as the reconcile sees them.
pub trait Kind: CredentialResource + Resource<Scope = NamespaceResourceScope> {
    /// The kind's name, for labels of metrics.
    const NAME: &'static str;
}

impl Kind for ecr_secret_core::api::EcrSecret {
    const NAME: &'static str = "Secret";
}

impl Kind for ecr_secret_core::api::ArgoHelmRepoSecret {
    const NAME: &'static str = "ArgoHelmRepoSecret";
}

/// Reconciles one resource.
///
/// # Errors
/// Only what the API server did; everything else ends in the resource's status.
pub async fn reconcile<K: Kind>(
    guarded: Arc<DeserializeGuard<K>>,
    context: Arc<Context>,
) -> Result<controller::Action, Error> {
    if guarded.meta().deletion_timestamp.is_some() {
        return Ok(controller::Action::await_change());
    }
    match &guarded.0 {
        Ok(resource) => {
            let turn = context.turns.to_work().await;
            Reconcile {
                resource,
                context: &context,
                now: Timestamp::now(),
                started: Instant::now(),
            }
            .run(turn)
            .await
        }
        Err(invalid) => tell::unreadable::<K>(&context, &guarded, &invalid.error).await,
    }
}

struct Reconcile<'a, K> {
    resource: &'a K,
    context: &'a Context,
    /// The one time of this reconcile.
    now: Timestamp,
    started: Instant,
}

/// How the work on a resource ended.
enum Worked {
    /// All that can be done now is done.
    Done(Box<Done>),
    /// The cluster has to settle first.
    Unsettled,
    /// The namespace is being deleted.
    Ending,
}

/// What carrying a plan out came to.
struct Done {
    plan: Plan,
    outcome: Outcome,
    /// When to look again, if the plan does not say so already.
    retry: Option<Timestamp>,
    /// The Secret's name that somebody else has.
    waits_for: Option<String>,
}

impl<K: Kind> Reconcile<'_, K> {
    async fn run(&self, turn: Turn<'_>) -> Result<controller::Action, Error> {
        let uid = self.resource.meta().uid.clone().unwrap_or_default();
        let view = self.resource.view();
        let frequency = Frequency::from_spec(view.frequency);
        let target =
            resolve(&view).map_err(|error| Problem::new(Reason::InvalidRegion, error.to_string()));
        let inputs = |name: &str| {
            let digest = |target| inputs_digest(K::model_kind(), view.registry, target, name);
            target.as_ref().map(digest).unwrap_or_default()
        };
        let annotations = self.resource.annotations();
        let asked = Asked {
            uid: &uid,
            frequency: &frequency,
            suspend: view.suspend,
            refresh_request: annotations.get(REFRESH_REQUESTED_AT).map(String::as_str),
            inputs: &inputs,
        };
        // In a box, so that a reconcile that waits to tell does not keep the memory that the work took.
        let worked = Box::pin(self.work(&asked, target.as_ref())).await?;
        drop(turn);
        match worked {
            Worked::Done(done) => {
                self.tell(&uid, &done).await?;
                self.context
                    .world
                    .remember(&uid, |memory| memory.failures = 0);
                Ok(self.next_look(&done))
            }
            Worked::Unsettled => Ok(controller::Action::requeue(SETTLE)),
            Worked::Ending => Ok(controller::Action::requeue(ENDING)),
        }
    }

    fn failed(&self, step: &'static str, source: kube::Error) -> Error {
        let (namespace, name) = place(self.resource);
        Error::Cluster {
            step,
            kind: K::NAME,
            namespace,
            name,
            source: Box::new(source),
        }
    }
}

/// What to do after a reconcile that the API server did not let finish: wait, longer each time.
pub fn back_off<K: Kind>(
    guarded: &Arc<DeserializeGuard<K>>,
    error: &Error,
    context: &Context,
) -> controller::Action {
    let uid = guarded.meta().uid.clone().unwrap_or_default();
    let mut failures = 0;
    context.world.remember(&uid, |memory| {
        memory.failures = memory.failures.saturating_add(1);
        failures = memory.failures;
    });
    context
        .metrics
        .reconciled(Reason::ApiServerRefused.as_str());
    warn!(%error, failures, "a reconcile did not finish; trying again");
    let wait = Duration::from_millis(500) * 2u32.saturating_pow(failures.min(8) - 1);
    controller::Action::requeue(wait.min(Duration::from_mins(1)))
}
