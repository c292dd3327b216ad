//! Decides and acts, again after each step that changed what is known.

use std::sync::Arc;

use ecr_policy_model::{Decision, Request};
use ecr_secret_core::decide::{
    self, Action, Asked, Freshness, Observed, Outcome, Plan, Problem, decide,
};
use ecr_secret_core::policy_source::PolicySource;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::registry::Target;
use ecr_secret_core::render::render;
use ecr_secret_core::request::request;
use ecr_secret_core::token::{Token, TokenWindow, seconds};
use jiff::{SignedDuration, Timestamp};
use tracing::info;

use super::{Done, Error, Kind, Reconcile, Worked};
use crate::aws::{Failure, TokenKey};
use crate::effects::accounts::Synced;
use crate::effects::secret::{self, Written};
use crate::policies::Verdict;
use crate::world::{
    Linked, Memory, Owner, ResourceFacts, SecretFacts, place, secrets_of, service_accounts,
};

/// How often what is known may change within one reconcile before it is left to the next one.
const PASSES: usize = 4;
/// A policy that failed by circumstances, a busy host or a missed deadline, is asked again after this time.
const PASSING_RETRY: SignedDuration = SignedDuration::from_secs(10);
/// A write that the API server refused for good, by quota or admission, is tried again after this time.
const REFUSED_RETRY: SignedDuration = SignedDuration::from_secs(30);

impl<K: Kind> Reconcile<'_, K> {
    /// Decides and acts until the plan needs nothing more.
    pub(super) async fn work(
        &self,
        asked: &Asked<'_>,
        target: Result<&Target, &Problem>,
    ) -> Result<Worked, Error> {
        let world = &self.context.world;
        let memory = world.memory(asked.uid);
        let mut observed = self.observed(asked.uid);
        let region = target.ok().map(|target| target.region.as_str());
        let (namespace, _) = place(self.resource);
        let accounts = service_accounts(world, &namespace);
        let mut request = request(self.resource, accounts, asked.frequency, region);
        request.now = seconds(self.now);
        let mut token: Option<Arc<Token>> = None;

        for _ in 0..PASSES {
            request.token = observed
                .in_hand
                .or_else(|| newest(&observed))
                .map(TokenWindow::to_model);
            let verdict = self.verdict(&request, target).await?;
            let digest = verdict
                .policy
                .as_ref()
                .and_then(|policy| policy.digest.clone());
            let cause = (self.resource.meta().generation, digest);
            observed.last_change = memory
                .last_change
                .as_ref()
                .filter(|change| change.1 == cause)
                .map(|change| change.0);
            observed.last_good = self.last_good(&observed, &memory, &verdict, &request).await;
            observed.newer_policy = verdict.newer;
            observed.narrowed = verdict.narrowed;
            if let Some(source) = &verdict.taken_over {
                self.tell_others(source);
            }
            let decision = verdict.decision.map(|valid| valid.get().clone());
            let plan = decide(self.now, asked, &observed, &decision);
            let mut done = Done {
                outcome: Outcome {
                    policy: verdict.policy,
                    secret: current(&plan, &observed),
                    ..Outcome::default()
                },
                waits_for: decision
                    .as_ref()
                    .ok()
                    .map(|decision| decision.secret_name.clone())
                    .filter(|name| observed.taken.contains_key(name)),
                retry: verdict.passing.then(|| later(self.now, PASSING_RETRY)),
                plan,
            };
            match (done.plan.action, target) {
                (Action::Nothing | Action::Keep, _) => return self.finish(asked, done).await,
                // Without a target there is nowhere to get a token from, and the verdict says so.
                (Action::Fetch(_) | Action::Write, Err(_)) => {
                    return self.unfinished(asked, done).await;
                }
                (Action::Fetch(freshness), Ok(target)) => {
                    match self.fetch(target, self.forced_once(asked, freshness)).await {
                        Ok(fetched) => {
                            observed.in_hand = Some(fetched.window());
                            token = Some(fetched);
                        }
                        Err(failure) => {
                            self.context.metrics.refreshed(failure.reason.as_str());
                            done.outcome.problem =
                                Some(Problem::new(failure.reason, failure.message));
                            done.retry = Some(failure.retry_at);
                            return self.unfinished(asked, done).await;
                        }
                    }
                }
                (Action::Write, Ok(target)) => {
                    let (Some(token), Some(wanted)) = (&token, done.plan.in_force.clone()) else {
                        return Ok(Worked::Unsettled);
                    };
                    match self.write(asked, target, &wanted, &request, token).await {
                        Ok(Written::Done) => {
                            let good = decision.ok().filter(|good| *good == wanted);
                            world.remember(asked.uid, |memory| {
                                memory.last_change = Some((self.now, cause));
                                memory.decision = good.or(memory.decision.take());
                            });
                            return self.written(asked, done, wanted, token).await;
                        }
                        Ok(Written::Refused(problem)) => {
                            observed.taken.insert(wanted.secret_name, problem);
                        }
                        Ok(Written::Changed) => return Ok(Worked::Unsettled),
                        Ok(Written::Ending) => return Ok(Worked::Ending),
                        Err(error) => return self.not_written(asked, done, &wanted, error).await,
                    }
                }
            }
        }
        Ok(Worked::Unsettled)
    }

    fn observed(&self, uid: &str) -> Observed {
        let (namespace, own_name) = place(self.resource);
        let (owned, others) = secrets_of(&self.context.world, &namespace, uid);
        // A predecessor's Secret, of the same name and kind, is about to be collected: that is no conflict.
        let predecessors = |facts: &SecretFacts| {
            facts
                .owner
                .as_ref()
                .is_some_and(|owner| owner.kind == K::NAME && owner.name == own_name)
        };
        let taken = others
            .iter()
            .filter(|(_, facts)| !predecessors(facts))
            .map(|(name, facts)| (name.clone(), taken(name, facts)))
            .collect();
        Observed {
            owned,
            taken,
            ..Observed::default()
        }
    }

    /// The last good decision, as far as it is still allowed.
    async fn last_good(
        &self,
        observed: &Observed,
        memory: &Memory,
        verdict: &Verdict,
        request: &Request,
    ) -> Option<Decision> {
        let last = decide::last_good(&observed.owned, memory.decision.clone())?;
        match &verdict.decision {
            Ok(decided) if *decided.get() == last => Some(last),
            _ => self.context.policies.still_good(&last, request).await,
        }
    }

    async fn verdict(
        &self,
        request: &Request,
        target: Result<&Target, &Problem>,
    ) -> Result<Verdict, Error> {
        let impossible = |problem: Problem| Ok(Err(problem).into());
        if request.resource.registry.is_empty() {
            let message = "the spec names no registry; set spec.ecr_registry (or spec.url of an ArgoHelmRepoSecret)";
            return impossible(Problem::new(Reason::InvalidSpec, message));
        }
        if let Err(problem) = target {
            return impossible(problem.clone());
        }
        let (policies, world) = (&self.context.policies, &self.context.world);
        let last = self
            .resource
            .status()
            .and_then(|status| status.policy.as_ref());
        policies
            .ask(world, self.resource.view().policy, request, last)
            .await
            .map_err(|source| self.failed("reading the policy", source))
    }

    /// Another version of the policy of this source decides from now on, for all who use it.
    fn tell_others(&self, source: &PolicySource) {
        let (namespace, _) = place(self.resource);
        info!(
            namespace,
            %source, "a new version of a policy takes over"
        );
        let own_uid = self.resource.meta().uid.clone();
        let concerned = |facts: &ResourceFacts| {
            let other = Some(&facts.uid) != own_uid.as_ref();
            other && facts.policy.as_ref().is_none_or(|policy| policy == source)
        };
        let (wakers, world) = (&self.context.wakers, &self.context.world);
        wakers.resources(world, &namespace, concerned);
    }

    /// A request for a refresh cuts a wait after failures short once; the next failure's wait counts again.
    fn forced_once(&self, asked: &Asked<'_>, mut freshness: Freshness) -> Freshness {
        if freshness.force {
            self.context.world.remember(asked.uid, |memory| {
                let request = asked.refresh_request.map(str::to_owned);
                freshness.force = memory.forced_for != request;
                memory.forced_for = request;
            });
        }
        freshness
    }

    async fn fetch(&self, target: &Target, freshness: Freshness) -> Result<Arc<Token>, Failure> {
        let key = TokenKey {
            region: target.region.to_string(),
            kind: target.kind,
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
    ) -> kube::Result<Written> {
        let context = self.context;
        let Some(valid) = context.policies.valid(wanted, request) else {
            // Both the verdict and the last good decision have been through this already.
            let message = format!(
                "the decision for Secret {} is not valid",
                wanted.secret_name
            );
            return Ok(Written::Refused(Problem::new(
                Reason::PolicyInvalidDecision,
                message,
            )));
        };
        let rendered = render(self.resource, target, &valid, token, asked.refresh_request);
        let (namespace, name) = place(self.resource);
        let known = context.world.secrets.get(&namespace, &wanted.secret_name);
        let written =
            secret::write(&context.client, self.resource, &rendered, known.as_deref()).await?;
        if matches!(written, Written::Done) {
            context.metrics.refreshed(Reason::Refreshed.as_str());
            context
                .metrics
                .refresh_duration
                .observe(self.started.elapsed().as_secs_f64());
            info!(kind = K::NAME, namespace, resource = name, secret = wanted.secret_name, expires = %token.expires_at(), "wrote a Secret");
        }
        Ok(written)
    }

    async fn written(
        &self,
        asked: &Asked<'_>,
        mut done: Done,
        wanted: Decision,
        token: &Token,
    ) -> Result<Worked, Error> {
        done.outcome.secret = Some(decide::Written {
            name: wanted.secret_name,
            window: Some(token.window()),
            now: true,
        });
        done.outcome.handled_refresh_request = asked.refresh_request.map(str::to_owned);
        self.finish(asked, done).await
    }

    async fn not_written(
        &self,
        asked: &Asked<'_>,
        mut done: Done,
        wanted: &Decision,
        error: kube::Error,
    ) -> Result<Worked, Error> {
        let Some(why) = refused(&error) else {
            return Err(self.failed("writing the Secret", error));
        };
        let message = format!(
            "the API server refuses Secret {}: {why}; change what it names",
            wanted.secret_name
        );
        done.outcome.problem = Some(Problem::new(Reason::ApiServerRefused, message));
        done.retry = Some(later(self.now, REFUSED_RETRY));
        self.unfinished(asked, done).await
    }

    /// Ends a plan that could not be carried out: the former Secret stays.
    async fn unfinished(&self, asked: &Asked<'_>, done: Done) -> Result<Worked, Error> {
        let plan = Plan {
            remove: Vec::new(),
            ..done.plan
        };
        self.finish(asked, Done { plan, ..done }).await
    }

    /// Links, then removes what is not wanted any more.
    async fn finish(&self, asked: &Asked<'_>, mut done: Done) -> Result<Worked, Error> {
        let handled = &mut done.outcome.handled_refresh_request;
        // After a crash between the Secret and the status, the Secret alone tells.
        if let (None, Some(secret), Some(request)) =
            (&handled, &done.outcome.secret, asked.refresh_request)
        {
            let (namespace, _) = place(self.resource);
            let stored = self.context.world.secrets.get(&namespace, &secret.name);
            *handled = stored.and_then(|facts| facts.owned.refresh_request.clone());
            handled.take_if(|answered| answered != request);
        }
        if handled.is_none() {
            // The watch may not have shown us yet what we wrote ourselves.
            let remembered = self.context.world.memory(asked.uid).status;
            *handled = remembered
                .as_ref()
                .or_else(|| self.resource.status())
                .and_then(|status| status.handled_refresh_request.clone());
        }
        if let (Some(decision), Some(secret)) = (&done.plan.in_force, &done.outcome.secret) {
            let linked = Linked {
                secret: secret.name.clone(),
                accounts: decision.service_accounts.clone(),
            };
            done.outcome.links = self.link(asked.uid, linked).await;
            if done.outcome.links.failed.is_empty() {
                self.remove(&done.plan.remove).await?;
            }
        }
        Ok(Worked::Done(Box::new(done)))
    }

    /// Makes the wanted service accounts name the Secret, and those that were wanted before forget it.
    async fn link(&self, uid: &str, linked: Linked) -> decide::Links {
        let (context, world) = (self.context, &self.context.world);
        let before = world
            .memory(uid)
            .linked
            .or_else(|| self.resource.status().map(Linked::from))
            .unwrap_or_default();
        let wanted = linked.names();
        world.remember(uid, |memory| memory.linked = Some(linked));
        let (namespace, _) = place(self.resource);
        let mut links = decide::Links::default();
        for name in wanted.union(&before.names()) {
            match context
                .accounts
                .sync(&context.client, world, &namespace, name)
                .await
            {
                Synced::Missing if wanted.contains(name) => links.missing.push(name.clone()),
                Synced::Failed(why) => links.failed.push((name.clone(), why)),
                Synced::Done | Synced::Missing => {}
            }
        }
        links
    }

    async fn remove(&self, names: &[String]) -> Result<(), Error> {
        let (namespace, resource) = place(self.resource);
        for name in names {
            let Some(facts) = self.context.world.secrets.get(&namespace, name) else {
                continue;
            };
            let deleted = secret::delete(&self.context.client, &namespace, &facts).await;
            deleted
                .map_err(|source| self.failed("deleting the Secret of the former name", source))?;
            info!(
                namespace,
                resource,
                secret = name,
                "deleted the Secret of the former name"
            );
        }
        Ok(())
    }
}

/// Why the API server will not take a write however often it is tried; none when trying again may help.
fn refused(error: &kube::Error) -> Option<&str> {
    match error {
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => Some(&status.message),
        _ => None,
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

fn newest(observed: &Observed) -> Option<TokenWindow> {
    observed
        .owned
        .iter()
        .filter_map(|secret| secret.window)
        .max_by_key(|window| window.issued_at)
}

fn current(plan: &Plan, observed: &Observed) -> Option<decide::Written> {
    let wanted = plan.in_force.as_ref().map(|decision| &decision.secret_name);
    // While a rename waits for a token, the Secret of the former name is the one that is in use; without a decision,
    // whatever is there.
    let secret = observed
        .owned
        .iter()
        .find(|secret| Some(&secret.name) == wanted)
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

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(time)
}
