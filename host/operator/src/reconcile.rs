//! One reconcile: observe, ask the policy, decide, carry the plan out, tell.
//!
//! All judgement is in [`ecr_secret_core::decide`]; here is the order of the effects. It is chosen so
//! that a crash between any two of them loses nothing: the new Secret is written before service
//! accounts name it, they name it before the old one goes, and the status comes last. The next
//! reconcile finds what is missing, because everything is computed from the cluster's state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ecr_policy_model::{Decision, Request};
use ecr_secret_core::api::{
    CONDITION_READY, ConditionStatus, CredentialResource, REFRESH_REQUESTED_AT, Status,
};
use ecr_secret_core::decide::{
    self, Action, Asked, Observed, Outcome, Plan, Problem, decide, next_status,
};
use ecr_secret_core::reason::Reason;
use ecr_secret_core::registry::{Target, resolve};
use ecr_secret_core::render::{inputs_digest, render};
use ecr_secret_core::schedule::Frequency;
use ecr_secret_core::token::Token;
use jiff::Timestamp;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::controller;
use kube::{Resource, ResourceExt};
use tracing::{debug, info, warn};

use crate::aws::{Freshness, TokenKey};
use crate::context::Context;
use crate::effects::accounts::Synced;
use crate::effects::{events, secret, status};
use crate::policies::Verdict;
use crate::request::request;
use crate::telemetry::metrics::ResourceLabels;
use crate::world::{Linked, Owner, SecretFacts, place, secrets_of};

/// How often what is known may change within one reconcile before it is left to the next one.
const PASSES: usize = 4;
/// When a Secret changed under our hands, the watch tells us within this time.
const SETTLE: Duration = Duration::from_millis(500);

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
            Reconcile {
                resource,
                context: &context,
                now: Timestamp::now(),
                started: Instant::now(),
            }
            .run()
            .await
        }
        Err(invalid) => unreadable::<K>(&context, &guarded, &invalid.error).await,
    }
}

struct Reconcile<'a, K> {
    resource: &'a K,
    context: &'a Context,
    /// The one time of this reconcile.
    now: Timestamp,
    started: Instant,
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
    async fn run(&self) -> Result<controller::Action, Error> {
        let uid = self.resource.meta().uid.clone().unwrap_or_default();
        let view = self.resource.view();
        let frequency = Frequency::from_spec(view.frequency);
        let target = resolve(&view);
        let inputs = |name: &str| {
            target
                .as_ref()
                .map(|target| inputs_digest(K::model_kind(), view.registry, target, name))
                .unwrap_or_default()
        };
        let asked = Asked {
            uid: &uid,
            frequency: &frequency,
            suspend: view.suspend,
            refresh_request: self
                .resource
                .annotations()
                .get(REFRESH_REQUESTED_AT)
                .map(String::as_str),
            inputs: &inputs,
        };
        let Some(done) = self
            .work(
                &asked,
                target
                    .as_ref()
                    .map_err(|error| Problem::new(Reason::InvalidRegion, error.to_string())),
            )
            .await?
        else {
            return Ok(controller::Action::requeue(SETTLE));
        };
        self.tell(&uid, &done).await?;
        self.context
            .world
            .remember(&uid, |memory| memory.failures = 0);
        Ok(self.next_look(&done))
    }

    /// Decides and acts until the plan needs nothing more; none when the cluster has to settle first.
    async fn work(
        &self,
        asked: &Asked<'_>,
        target: Result<&Target, Problem>,
    ) -> Result<Option<Done>, Error> {
        let (namespace, _) = place(self.resource);
        let world = &self.context.world;
        let memory = world.memory(asked.uid);
        let (owned, others) = secrets_of(world, &namespace, asked.uid);
        let mut observed = Observed {
            owned,
            remembered: memory.decision.clone(),
            ..Observed::default()
        };
        // A predecessor's Secret, of the same name and kind, is about to be collected: that is no conflict.
        let (_, own_name) = place(self.resource);
        let predecessors = |facts: &SecretFacts| {
            facts
                .owner
                .as_ref()
                .is_some_and(|owner| owner.kind == K::NAME && owner.name == own_name)
        };
        observed.taken = others
            .iter()
            .filter(|(_, facts)| !predecessors(facts))
            .map(|(name, facts)| (name.clone(), taken(name, facts)))
            .collect();
        let mut request = request(
            self.resource,
            world,
            asked.frequency,
            target.as_ref().ok().map(|target| target.region.as_str()),
        );
        request.now = ecr_secret_core::token::seconds(self.now);
        let mut token: Option<Arc<Token>> = None;

        for _ in 0..PASSES {
            request.token = observed
                .in_hand
                .or_else(|| newest(&observed))
                .map(ecr_secret_core::token::TokenWindow::to_model);
            let verdict = self.verdict(&request, target.as_ref().err()).await?;
            let digest = verdict
                .policy
                .as_ref()
                .and_then(|policy| policy.digest.clone());
            observed.last_change = memory
                .last_change
                .as_ref()
                .filter(|change| {
                    (change.1, &change.2) == (self.resource.meta().generation, &digest)
                })
                .map(|change| change.0);
            let decision = verdict
                .decision
                .as_ref()
                .map(|valid| valid.get().clone())
                .map_err(Clone::clone);
            let plan = decide(self.now, asked, &observed, &decision);
            let waits_for = decision
                .as_ref()
                .ok()
                .map(|decision| decision.secret_name.clone())
                .filter(|name| observed.taken.contains_key(name));
            let mut outcome = Outcome {
                policy: verdict.policy.clone(),
                ..Outcome::default()
            };
            match plan.action {
                Action::Nothing | Action::Keep => {
                    outcome.secret = current(&plan, &observed);
                    return self
                        .finish(asked, plan, outcome, None, waits_for)
                        .await
                        .map(Some);
                }
                Action::Fetch(freshness) => {
                    let Ok(target) = &target else {
                        outcome.secret = current(&plan, &observed);
                        return self
                            .finish(
                                asked,
                                Plan {
                                    remove: Vec::new(),
                                    ..plan
                                },
                                outcome,
                                None,
                                waits_for,
                            )
                            .await
                            .map(Some);
                    };
                    match self.fetch(target, freshness).await {
                        Ok(fetched) => {
                            observed.in_hand = Some(fetched.window());
                            token = Some(fetched);
                        }
                        Err(failure) => {
                            self.context.metrics.refreshed(failure.reason.as_str());
                            outcome.secret = current(&plan, &observed);
                            outcome.problem = Some(Problem::new(failure.reason, failure.message));
                            return self
                                .finish(
                                    asked,
                                    Plan {
                                        remove: Vec::new(),
                                        ..plan
                                    },
                                    outcome,
                                    Some(failure.retry_at),
                                    waits_for,
                                )
                                .await
                                .map(Some);
                        }
                    }
                }
                Action::Write => {
                    let (Some(token), Some(wanted), Ok(target)) = (&token, &plan.in_force, &target)
                    else {
                        return Ok(None);
                    };
                    match self.write(asked, target, wanted, &request, token).await? {
                        secret::Written::Done => {
                            outcome.secret = Some(decide::Written {
                                name: wanted.secret_name.clone(),
                                window: Some(token.window()),
                                now: true,
                            });
                            outcome.handled_refresh_request =
                                asked.refresh_request.map(str::to_owned);
                            let change = (self.now, self.resource.meta().generation, digest);
                            let good = decision.ok().filter(|good| good == wanted);
                            world.remember(asked.uid, |memory| {
                                memory.last_change = Some(change);
                                memory.decision = good.or(memory.decision.take());
                            });
                            return self
                                .finish(asked, plan, outcome, None, waits_for)
                                .await
                                .map(Some);
                        }
                        secret::Written::Refused(problem) => {
                            observed.taken.insert(wanted.secret_name.clone(), problem);
                        }
                        secret::Written::Changed => return Ok(None),
                        secret::Written::Ending => {
                            debug!(
                                namespace,
                                "the namespace is being deleted: nothing is written any more"
                            );
                            return Ok(None);
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    async fn verdict(&self, request: &Request, target: Option<&Problem>) -> Result<Verdict, Error> {
        if request.resource.registry.is_empty() {
            let message = "the spec names no registry; set spec.ecr_registry (or spec.url of an ArgoHelmRepoSecret)";
            return Ok(Verdict {
                decision: Err(Problem::new(Reason::InvalidSpec, message)),
                policy: None,
            });
        }
        if let Some(problem) = target {
            return Ok(Verdict {
                decision: Err(problem.clone()),
                policy: None,
            });
        }
        let policies = &self.context.policies;
        policies
            .ask(&self.context.world, self.resource.view().policy, request)
            .await
            .map_err(|source| self.failed("reading the policy", source))
    }

    async fn fetch(
        &self,
        target: &Target,
        freshness: decide::Freshness,
    ) -> Result<Arc<Token>, crate::aws::Failure> {
        let key = TokenKey {
            region: target.region.to_string(),
            kind: target.kind,
        };
        let freshness = Freshness {
            issued_after: freshness.issued_after,
            force: freshness.force,
        };
        self.context.broker.token(&key, freshness).await
    }

    async fn write(
        &self,
        asked: &Asked<'_>,
        target: &Target,
        wanted: &Decision,
        request: &Request,
        token: &Token,
    ) -> Result<secret::Written, Error> {
        let Some(valid) = self.context.policies.revalidate(wanted, request) else {
            let message = format!(
                "the last good decision, for Secret {}, is not valid any more",
                wanted.secret_name
            );
            return Ok(secret::Written::Refused(Problem::new(
                Reason::PolicyInvalidDecision,
                message,
            )));
        };
        let rendered = render(self.resource, target, &valid, token, asked.refresh_request);
        let (namespace, _) = place(self.resource);
        let known = self
            .context
            .world
            .secrets
            .get(&namespace, &wanted.secret_name);
        let written = secret::write(
            &self.context.client,
            self.resource,
            &rendered,
            known.as_deref(),
        )
        .await
        .map_err(|source| self.failed("writing the Secret", source))?;
        if matches!(written, secret::Written::Done) {
            self.context.metrics.refreshed(Reason::Refreshed.as_str());
            self.context
                .metrics
                .refresh_duration
                .observe(self.started.elapsed().as_secs_f64());
            info!(kind = K::NAME, namespace, resource = self.resource.name_any(), secret = wanted.secret_name, expires = %token.expires_at(), "wrote a Secret");
        }
        Ok(written)
    }

    /// Links, then removes what is not wanted any more.
    async fn finish(
        &self,
        asked: &Asked<'_>,
        plan: Plan,
        mut outcome: Outcome,
        retry: Option<Timestamp>,
        waits_for: Option<String>,
    ) -> Result<Done, Error> {
        let (namespace, _) = place(self.resource);
        let world = &self.context.world;
        if outcome.handled_refresh_request.is_none() {
            outcome.handled_refresh_request = self
                .resource
                .status()
                .and_then(|status| status.handled_refresh_request.clone());
        }
        let (Some(decision), Some(secret)) = (&plan.in_force, &outcome.secret) else {
            return Ok(Done {
                plan,
                outcome,
                retry,
                waits_for,
            });
        };

        let linked = Linked {
            secret: secret.name.clone(),
            accounts: decision.service_accounts.clone(),
        };
        let before = world
            .memory(asked.uid)
            .linked
            .or_else(|| self.resource.status().map(Linked::from))
            .unwrap_or_default();
        world.remember(asked.uid, |memory| memory.linked = Some(linked));
        let mut names: Vec<&str> = decision
            .service_accounts
            .iter()
            .chain(&before.accounts)
            .map(|link| link.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let wanted = decision
                .service_accounts
                .iter()
                .any(|link| link.name == name);
            match self
                .context
                .accounts
                .sync(&self.context.client, world, &namespace, name)
                .await
            {
                Synced::Missing if wanted => outcome.links.missing.push(name.to_owned()),
                Synced::Failed(why) => outcome.links.failed.push((name.to_owned(), why)),
                Synced::Done | Synced::Missing => {}
            }
        }

        if outcome.links.failed.is_empty() {
            for name in &plan.remove {
                let Some(facts) = world.secrets.get(&namespace, name) else {
                    continue;
                };
                secret::delete(&self.context.client, &namespace, &facts)
                    .await
                    .map_err(|source| {
                        self.failed("deleting the Secret of the former name", source)
                    })?;
                info!(
                    namespace,
                    resource = self.resource.name_any(),
                    secret = name,
                    "deleted the Secret of the former name"
                );
            }
        }
        Ok(Done {
            plan,
            outcome,
            retry,
            waits_for,
        })
    }

    async fn tell(&self, uid: &str, done: &Done) -> Result<(), Error> {
        let (namespace, name) = place(self.resource);
        let memory = self.context.world.memory(uid);
        let before = memory.status.as_ref().or_else(|| self.resource.status());
        let after = next_status(
            self.now,
            self.resource.meta().generation,
            before,
            &done.plan,
            &done.outcome,
        );
        let context = self.context;
        status::write::<K>(&context.client, &namespace, &name, &after, before)
            .await
            .map_err(|source| self.failed("writing the status", source))?;
        if status::is_transition(before, &after) {
            events::ready(&context.recorder, self.resource, &after).await;
        }
        observe(context, K::NAME, namespace, name, &after);
        context.world.remember(uid, |memory| {
            memory.waits_for.clone_from(&done.waits_for);
            memory.status = Some(after);
        });
        Ok(())
    }

    fn next_look(&self, done: &Done) -> controller::Action {
        let links_retry = (!done.outcome.links.failed.is_empty()).then(|| {
            self.now
                .saturating_add(jiff::SignedDuration::from_secs(30))
                .unwrap_or(self.now)
        });
        // A failure says itself when to try again; the time at which the Secret was due is over.
        let look_at = done
            .retry
            .or(done.plan.look_at)
            .into_iter()
            .chain(links_retry)
            .min();
        look_at.map_or_else(controller::Action::await_change, |at| {
            let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
            controller::Action::requeue(wait.max(Duration::from_millis(100)))
        })
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

fn taken(name: &str, facts: &SecretFacts) -> Problem {
    match &facts.owner {
        Some(Owner {
            kind, name: owner, ..
        }) => secret::taken_by(name, kind, owner),
        None => Problem::new(Reason::SecretConflict, format!("Secret {name} is not ours")),
    }
}

fn newest(observed: &Observed) -> Option<ecr_secret_core::token::TokenWindow> {
    observed
        .owned
        .iter()
        .filter_map(|secret| secret.window)
        .max_by_key(|window| window.issued_at)
}

fn current(plan: &Plan, observed: &Observed) -> Option<decide::Written> {
    let decision = plan.in_force.as_ref()?;
    // While a rename waits for a token, the Secret of the former name is the one that is in use.
    let secret = observed
        .owned
        .iter()
        .find(|secret| secret.name == decision.secret_name)
        .or_else(|| {
            observed
                .owned
                .iter()
                .max_by_key(|secret| secret.window.map(|window| window.issued_at))
        })?;
    Some(decide::Written {
        name: secret.name.clone(),
        window: secret.window,
        now: false,
    })
}

fn observe(
    context: &Context,
    kind: &'static str,
    namespace: String,
    name: String,
    status: &Status,
) {
    let ready = status.condition(CONDITION_READY);
    context.metrics.reconciled(
        ready
            .and_then(|ready| {
                Reason::ALL
                    .iter()
                    .find(|reason| reason.as_str() == ready.reason)
            })
            .map_or("Unknown", |reason| reason.as_str()),
    );
    let labels = ResourceLabels {
        kind,
        namespace,
        name,
    };
    let good = ready.is_some_and(|ready| ready.status == ConditionStatus::True);
    context.metrics.resource(
        &labels,
        good,
        status.expires_at.map(Into::into),
        status.next_refresh_time.map(Into::into),
    );
}

/// A resource that does not deserialize gets told so; all others go on.
async fn unreadable<K: Kind>(
    context: &Context,
    guarded: &DeserializeGuard<K>,
    error: &str,
) -> Result<controller::Action, Error> {
    let (namespace, name) = (guarded.namespace().unwrap_or_default(), guarded.name_any());
    let uid = guarded.meta().uid.clone().unwrap_or_default();
    let problem = Problem::new(
        Reason::InvalidResource,
        format!("the resource cannot be read: {error}; correct that field"),
    );
    let plan = Plan {
        action: Action::Nothing,
        in_force: None,
        problem: Some(problem),
        adjusted: None,
        refresh_at: None,
        look_at: None,
        remove: Vec::new(),
    };
    let before = context.world.memory(&uid).status;
    let after = next_status(
        Timestamp::now(),
        guarded.meta().generation,
        before.as_ref(),
        &plan,
        &Outcome::default(),
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
    if status::is_transition(before.as_ref(), &after) {
        events::ready(&context.recorder, guarded, &after).await;
    }
    observe(context, K::NAME, namespace, name, &after);
    context
        .world
        .remember(&uid, |memory| memory.status = Some(after));
    Ok(controller::Action::await_change())
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
    controller::Action::requeue(wait.min(Duration::from_secs(60)))
}
