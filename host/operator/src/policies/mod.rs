//! From a `ConfigMap` to a verdict: finds the module, loads it once, asks it, checks the answer.

mod choice;
mod guardrail;
mod images;
mod judge;
mod lanes;
mod loading;
mod patience;
mod queue;
mod source;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ecr_policy_model::{Decision, Request, default_decision};
use ecr_secret_core::api::{PolicyRef, PolicyStatus, PolicyUsage};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::policy_source::{PolicySource, source_of};
use ecr_secret_core::reason::Reason;
use ecr_secret_core::schedule::Adjusted;
use ecr_secret_core::validate::{DecisionLimits, Guarded, ValidDecision, validate_decision};
use ecr_secret_engine::{Engine, Figure, PolicyCache, Unit};
use kube::Client;

use choice::{Choice, pinned};
pub use guardrail::Guard;
pub use images::{Images, Registries};
use judge::Judge;
pub use patience::Patience;
use queue::FairQueue;
use source::Source;

use crate::telemetry::metrics::Metrics;
use crate::world::World;

/// How many modules are compiled at the same time: a tenant's uploads must not take every core.
const COMPILATIONS: usize = 1;
/// How many sources are known before those are forgotten that nobody asks just now: a tenant can name any number.
const SOURCES: usize = 4_096;
/// Bytes of machine code that are kept loaded. What does not fit comes from the disk again, or from the compiler.
const LOADED: usize = 64 << 20;

/// The policies of all namespaces.
pub struct Policies {
    client: Client,
    engine: Engine,
    judge: Judge,
    loaded: Arc<PolicyCache>,
    compiling: FairQueue,
    patience: Arc<Patience>,
    guard: Arc<Guard>,
    images: Images,
    /// By namespace and source: the last state that was read. The inner lock makes one reader
    /// do the work that many ask for.
    sources: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<Source>>>>,
    metrics: Arc<Metrics>,
}

/// Namespace and source.
type Place = (String, PolicySource);

/// A policy's verdict on a request.
#[derive(Debug)]
pub struct Verdict {
    /// The decision, valid, or what is wrong.
    pub decision: Result<ValidDecision, Problem>,
    /// The policy that was asked; none when the resource has none.
    pub policy: Option<PolicyStatus>,
    /// What is wrong with a newer version of the policy, which therefore does not decide yet.
    pub newer: Option<Problem>,
    /// What the guardrail took away from what the policy decided.
    pub narrowed: Option<Adjusted>,
    /// Whether what is wrong may pass by itself, so that asking again is worth it.
    pub passing: bool,
    /// Whether another version took over just now, which concerns the other resources of this source too.
    pub taken_over: Option<PolicySource>,
}

impl From<Result<ValidDecision, Problem>> for Verdict {
    fn from(decision: Result<ValidDecision, Problem>) -> Self {
        Self {
            decision,
            policy: None,
            newer: None,
            narrowed: None,
            passing: false,
            taken_over: None,
        }
    }
}

impl Policies {
    /// Policies on this engine, under this guardrail.
    pub fn new(
        client: Client,
        engine: Engine,
        guard: Arc<Guard>,
        images: Images,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            client,
            engine,
            judge: Judge::new(DecisionLimits::default()),
            loaded: Arc::new(PolicyCache::new(LOADED)),
            compiling: FairQueue::new(COMPILATIONS),
            patience: Arc::default(),
            guard,
            images,
            sources: Mutex::default(),
            metrics,
        }
    }

    /// Which namespaces are held back because their modules keep failing.
    pub fn patience(&self) -> &Arc<Patience> {
        &self.patience
    }

    /// The administrator's guardrail.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Forgets a `ConfigMap` that is gone.
    pub fn forget(&self, namespace: &str, config_map: &str) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources
            .retain(|(of, source), _| of != namespace || source.config_map() != Some(config_map));
    }

    /// Asks the resource's policy, or decides by default when there is none; and shows that to the guardrail. `last` is
    /// what decided about the resource before, as its status tells.
    ///
    /// # Errors
    /// The API server could not be asked for the module; nothing is known of the policy then.
    pub async fn ask(
        &self,
        world: &World,
        policy: Option<&PolicyRef>,
        request: &Request,
        last: Option<&PolicyStatus>,
    ) -> kube::Result<Verdict> {
        let mut verdict = self.ask_policy(world, policy, request, last).await?;
        if let Ok(decision) = verdict.decision {
            verdict.decision = match self
                .guard
                .guard(request, decision, self.judge.limits())
                .await
            {
                Ok(Guarded { decision, taken }) => {
                    verdict.narrowed = told(&taken);
                    Ok(decision)
                }
                Err(failed) => {
                    self.metrics.evaluated(failed.problem.reason.as_str());
                    verdict.passing |= failed.passing;
                    Err(failed.problem)
                }
            };
        }
        Ok(verdict)
    }

    async fn ask_policy(
        &self,
        world: &World,
        policy: Option<&PolicyRef>,
        request: &Request,
        last: Option<&PolicyStatus>,
    ) -> kube::Result<Verdict> {
        let namespace = &request.resource.namespace;
        match source_of(policy, || world.default_policies(namespace)) {
            Ok(Some(source)) => self.ask_module(world, policy, &source, request, last).await,
            Ok(None) => Ok(self.by_default(request).into()),
            Err(problem) => {
                let named = policy.and_then(|policy| policy.config_map.as_ref());
                let named = named.map(|name| format!("configmap/{name}"));
                Ok(Verdict {
                    policy: named.map(told_of),
                    ..Err(problem).into()
                })
            }
        }
    }

    /// Without a policy it is the spec that says what cannot be.
    fn by_default(&self, request: &Request) -> Result<ValidDecision, Problem> {
        let decision = default_decision(request);
        validate_decision(&decision, request, &self.judge.limits()).map_err(|error| {
            Problem::new(
                Reason::InvalidSpec,
                format!("the spec is not valid: {error}"),
            )
        })
    }

    async fn ask_module(
        &self,
        world: &World,
        policy: Option<&PolicyRef>,
        from: &PolicySource,
        request: &Request,
        last: Option<&PolicyStatus>,
    ) -> kube::Result<Verdict> {
        let namespace = &request.resource.namespace;
        let place = (namespace.clone(), from.clone());
        let source = self.source(&place);
        let mut source = source.lock().await;
        let known: Vec<String> = source.digests().map(str::to_owned).collect();
        let newest = self.load(world, &mut source, &place).await?;
        let mut told = told_of(from.status());
        if source.serving.is_none() {
            // This process may be new.
            let last = last.filter(|last| last.source == told.source);
            source.serving = last.and_then(|last| last.digest.clone());
        }
        let pin = policy.and_then(|policy| policy.sha256.as_deref());
        let newest = newest.and_then(|newest| pinned(newest, pin, from));
        let before = source.serving.clone();
        let choice = self
            .choose(world, &mut source, from, request, pin, newest)
            .await;
        let taken_over = (source.serving != before && before.is_some()).then(|| from.clone());
        // Code of versions that are over is not kept loaded. Where another source has the same module, it is loaded again
        // from the disk.
        let over = known
            .iter()
            .filter(|digest| source.digests().all(|kept| kept != digest.as_str()));
        over.for_each(|digest| self.loaded.remove(digest));
        if let Choice::Decides(_, Some(failed)) | Choice::Nobody(failed) = &choice {
            self.blame(&mut source, namespace, failed);
        }
        drop(source);

        let (chosen, newer) = match choice {
            Choice::Decides(chosen, newer) => (chosen, newer),
            Choice::Nobody(failed) => {
                self.metrics.evaluated(failed.problem.reason.as_str());
                return Ok(Verdict {
                    policy: Some(told),
                    passing: failed.passing,
                    ..Err(failed.problem).into()
                });
            }
        };
        told.digest = Some(chosen.digest().to_owned());
        told.interface = Some(chosen.interface().to_string());
        let judged = self.judge.ask(chosen, &from.to_string(), request).await;
        if let Ok(judged) = &judged {
            self.metrics.ran(&judged.usage);
            told.usage = shown(&judged.usage.figures(&self.engine.options().limits));
        }
        let answer = judged.and_then(|judged| judged.answer);
        let answered = answer.is_ok();
        {
            let source = self.source(&place);
            let mut source = source.lock().await;
            source.remember(request, answered);
            if let Err(failed) = &answer {
                self.blame(&mut source, namespace, failed);
            }
        }
        // While the version before answers, it is the newer one that is told of; and also when neither does.
        let failed = match &newer {
            Some(newer) => Some(newer),
            None => answer.as_ref().err(),
        };
        let result = failed.map_or("Decided", |failed| failed.problem.reason.as_str());
        self.metrics.evaluated(result);
        let passing = failed.is_some_and(|failed| failed.passing);
        let newer = newer.map(|newer| newer.problem);
        let decision = answer.map_err(|failed| newer.clone().unwrap_or(failed.problem));
        Ok(Verdict {
            newer: newer.filter(|_| decision.is_ok()),
            narrowed: None,
            decision,
            policy: Some(told),
            passing,
            taken_over,
        })
    }

    fn source(&self, place: &Place) -> Arc<tokio::sync::Mutex<Source>> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= SOURCES {
            // What is lost of the others is in the statuses, or is found anew.
            sources.retain(|_, source| Arc::strong_count(source) > 1);
        }
        Arc::clone(sources.entry(place.clone()).or_default())
    }

    /// Checks a decision that was good once: it may come from an annotation that anybody may have edited, and the guardrail may
    /// be another one.
    pub async fn still_good(&self, decision: &Decision, request: &Request) -> Option<Decision> {
        let valid = self.valid(decision, request)?;
        let limits = self.judge.limits();
        let guarded = self.guard.guard(request, valid, limits).await.ok()?;
        Some(guarded.decision.into_inner())
    }

    /// The decision, with the proof that it breaks no rule.
    pub fn valid(&self, decision: &Decision, request: &Request) -> Option<ValidDecision> {
        validate_decision(decision, request, &self.judge.limits()).ok()
    }
}

/// What was taken away from a decision, if anything.
fn told(taken: &[String]) -> Option<Adjusted> {
    const SHOWN: usize = 5;
    let more = taken.len().saturating_sub(SHOWN);
    let shown = &taken[..taken.len() - more];
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    (!taken.is_empty()).then(|| Adjusted {
        reason: Reason::GuardrailNarrowed,
        message: format!(
            "the administrator's guardrail took away {}{more}",
            shown.join(", ")
        ),
    })
}

/// What a status tells of a source before its module is known.
fn told_of(source: String) -> PolicyStatus {
    PolicyStatus {
        source,
        ..PolicyStatus::default()
    }
}

/// What a run used, as a status tells it.
fn shown(figures: &[Figure]) -> Vec<PolicyUsage> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    figures
        .iter()
        .map(|figure| PolicyUsage {
            name: figure.name.to_owned(),
            used: figure.used.map(number),
            limit: number(figure.limit),
            unit: match figure.unit {
                Unit::Micros => "Microseconds",
                Unit::Bytes => "Bytes",
                Unit::Count => "Count",
            }
            .to_owned(),
        })
        .collect()
}
