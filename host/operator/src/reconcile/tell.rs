//! Tells what a reconcile came to: status, event, metrics, and when to look again.

use std::time::Duration;

use ecr_secret_core::api::{CONDITION_READY, Status};
use ecr_secret_core::decide::{Action, Outcome, Plan, Problem, Written, next_status};
use ecr_secret_core::reason::Reason;
use jiff::{SignedDuration, Timestamp};
use kube::core::DeserializeGuard;
use kube::runtime::controller;
use kube::{Resource, ResourceExt};

use super::{Done, Error, Kind, Reconcile};
use crate::context::Context;
use crate::effects::{events, status};
use crate::telemetry::metrics::ResourceLabels;
use crate::world::{newest, place, secrets_of, status_digest};

/// A link that failed is tried again after this time.
const LINK_RETRY: SignedDuration = SignedDuration::from_secs(30);
/// Even what is due at once is looked at only after this time, so that nothing spins.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

impl<K: Kind> Reconcile<'_, K> {
    pub(super) async fn tell(&self, uid: &str, done: &Done) -> Result<(), Error> {
        let (namespace, name) = place(self.resource);
        let (context, world) = (self.context, &self.context.world);
        let _turn = context.turns.to_tell().await;
        let memory = world.memory(uid);
        let shown = self.resource.status();
        let before = memory.status.as_ref().or(shown);
        let after = next_status(
            self.now,
            self.resource.meta().generation,
            before,
            &done.plan,
            &done.outcome,
        );
        let found = status_digest(shown);
        let stored = if world.is_foreign_status(uid, found) {
            shown
        } else {
            before
        };
        if memory.told.is_empty() {
            world.remember_status(uid, found);
        }
        // Before the write, as the watch may be faster than the answer.
        world.remember_status(uid, status_digest(Some(&after)));
        status::write::<K>(&context.client, &namespace, &name, &after, stored)
            .await
            .map_err(|source| self.failed("writing the status", source))?;
        observe::<K>(context, namespace, name, &after);
        if status::is_transition(before, &after) {
            events::ready(&context.recorder, self.resource, &after).await;
        }
        world.remember(uid, |memory| {
            memory.waits_for.clone_from(&done.waits_for);
            memory.status = Some(after);
        });
        Ok(())
    }

    pub(super) fn next_look(&self, done: &Done) -> controller::Action {
        let links_retry = (!done.outcome.links.failed.is_empty())
            .then(|| self.now.saturating_add(LINK_RETRY).unwrap_or(self.now));
        // A failure says itself when to try again; the time at which the Secret was due is over.
        let look_at = done
            .retry
            .or(done.plan.look_at)
            .into_iter()
            .chain(links_retry)
            .min();
        look_at.map_or_else(controller::Action::await_change, |at| {
            let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
            controller::Action::requeue(wait.max(SHORTEST_WAIT))
        })
    }
}

fn observe<K: Kind>(context: &Context, namespace: String, name: String, status: &Status) {
    let ready = status.condition(CONDITION_READY);
    context.metrics.reconciled(
        ready
            .and_then(|ready| Reason::of_word(&ready.reason))
            .map_or("Unknown", Reason::as_str),
    );
    let labels = ResourceLabels {
        kind: K::NAME,
        namespace,
        name,
    };
    context.metrics.resource(&labels, &status.into());
    // It may have been deleted meanwhile. Whoever saw that has taken the series away already, or still will.
    let known = context.world.resources(K::model_kind());
    if known.get(&labels.namespace, &labels.name).is_none() {
        context.metrics.forget(&labels);
    }
}

/// A resource that does not deserialize gets told so; all others go on.
pub(super) async fn unreadable<K: Kind>(
    context: &Context,
    guarded: &DeserializeGuard<K>,
    error: &str,
) -> Result<controller::Action, Error> {
    let _turn = context.turns.to_tell().await;
    let (namespace, name) = (guarded.namespace().unwrap_or_default(), guarded.name_any());
    let uid = guarded.meta().uid.clone().unwrap_or_default();
    let problem = Problem::new(
        Reason::InvalidResource,
        format!("the resource cannot be read: {error}; correct that field"),
    );
    // The Secret of a better time stays, and so do its links.
    let before = context.world.memory(&uid).status;
    let secret = newest(secrets_of(&context.world, &namespace, &uid).0);
    let outcome = Outcome {
        secret: secret.as_ref().map(|secret| Written {
            name: secret.name.clone(),
            window: secret.window,
            now: false,
        }),
        handled_refresh_request: before
            .as_ref()
            .and_then(|status| status.handled_refresh_request.clone()),
        ..Outcome::default()
    };
    let plan = Plan {
        action: Action::Nothing,
        in_force: secret.and_then(|secret| secret.decision),
        problem: Some(problem),
        adjusted: None,
        refresh_at: None,
        look_at: None,
        remove: Vec::new(),
    };
    let after = next_status(
        Timestamp::now(),
        guarded.meta().generation,
        before.as_ref(),
        &plan,
        &outcome,
    );
    let failed = |source| Error::Cluster {
        step: "writing the status",
        kind: K::NAME,
        namespace: namespace.clone(),
        name: name.clone(),
        source: Box::new(source),
    };
    status::write::<K>(&context.client, &namespace, &name, &after, before.as_ref())
        .await
        .map_err(failed)?;
    observe::<K>(context, namespace, name, &after);
    if status::is_transition(before.as_ref(), &after) {
        events::ready(&context.recorder, guarded, &after).await;
    }
    context
        .world
        .remember(&uid, |memory| memory.status = Some(after));
    Ok(controller::Action::await_change())
}
