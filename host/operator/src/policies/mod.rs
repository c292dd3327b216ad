//! From a `ConfigMap` to a verdict: finds the module, loads it once, asks it, checks the answer.

mod module;
mod problems;
mod queue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ecr_policy_model::{Decision, Request, default_decision};
use ecr_secret_core::api::{PolicyRef, PolicyStatus};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::validate::{DecisionLimits, ValidDecision, validate_decision};
use ecr_secret_engine::{Engine, LoadError, Policy, PolicyCache, digest, unpack};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::task::spawn_blocking;

use module::{find, module_of};
use problems::{evaluation_problem, load_problem, refused};
use queue::FairQueue;

use crate::telemetry::metrics::Metrics;
use crate::world::World;

/// How many modules are compiled at the same time: a tenant's uploads must not take every core.
const COMPILATIONS: usize = 1;
/// Bytes of machine code that are kept loaded. What does not fit comes from the disk again, or from the compiler.
const LOADED: usize = 64 << 20;

/// The policies of all namespaces.
pub struct Policies {
    client: Client,
    engine: Engine,
    limits: DecisionLimits,
    loaded: Arc<PolicyCache>,
    compiling: FairQueue,
    /// By namespace, `ConfigMap` and key: the last state that was read. The inner lock makes one reader
    /// do the work that many ask for.
    sources: Mutex<HashMap<Source, Arc<tokio::sync::Mutex<Option<Read>>>>>,
    metrics: Arc<Metrics>,
}

type Source = (String, String, Option<String>);

/// What a `ConfigMap` held at a `resourceVersion`: the digest of a module that loads, or what is wrong.
struct Read {
    resource_version: String,
    module: Result<String, Problem>,
}

/// A policy's verdict on a request.
#[derive(Debug)]
pub struct Verdict {
    /// The decision, valid, or what is wrong.
    pub decision: Result<ValidDecision, Problem>,
    /// The policy that was asked; none when the resource has none.
    pub policy: Option<PolicyStatus>,
    /// Whether what is wrong may pass by itself, so that asking again is worth it.
    pub passing: bool,
}

impl From<Result<ValidDecision, Problem>> for Verdict {
    fn from(decision: Result<ValidDecision, Problem>) -> Self {
        Self {
            decision,
            policy: None,
            passing: false,
        }
    }
}

/// Why a policy gives no decision.
struct Failed {
    problem: Problem,
    passing: bool,
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            passing: false,
        }
    }
}

impl Policies {
    /// Policies on this engine.
    pub fn new(client: Client, engine: Engine, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            engine,
            limits: DecisionLimits::default(),
            loaded: Arc::new(PolicyCache::new(LOADED)),
            compiling: FairQueue::new(COMPILATIONS),
            sources: Mutex::default(),
            metrics,
        }
    }

    /// Forgets a `ConfigMap` that is gone.
    pub fn forget(&self, namespace: &str, config_map: &str) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|(of, name, _), _| of != namespace || name != config_map);
    }

    /// Asks the resource's policy, or decides by default when there is none.
    ///
    /// # Errors
    /// The API server could not be asked for the module; nothing is known of the policy then.
    pub async fn ask(
        &self,
        world: &World,
        policy: Option<&PolicyRef>,
        request: &Request,
    ) -> kube::Result<Verdict> {
        let config_map = match find(world, &request.resource.namespace, policy) {
            Ok(Some(name)) => name,
            Ok(None) => {
                return Ok(Verdict {
                    policy: None,
                    ..self.valid(&default_decision(request), request, None).into()
                });
            }
            Err(problem) => {
                let named = policy
                    .and_then(|policy| policy.config_map.as_deref())
                    .map(source);
                return Ok(Verdict {
                    policy: named,
                    ..Err(problem).into()
                });
            }
        };
        let mut told = source(&config_map);
        let answer = self
            .answer(world, policy, &config_map, request, &mut told)
            .await?;
        let result = answer
            .as_ref()
            .map_or_else(|failed| failed.problem.reason.as_str(), |_| "Decided");
        self.metrics.evaluated(result);
        let passing = answer.as_ref().is_err_and(|failed| failed.passing);
        Ok(Verdict {
            decision: answer.map_err(|failed| failed.problem),
            policy: Some(told),
            passing,
        })
    }

    /// Loads the module and asks it; `told` learns what module it is.
    async fn answer(
        &self,
        world: &World,
        policy: Option<&PolicyRef>,
        config_map: &str,
        request: &Request,
        told: &mut PolicyStatus,
    ) -> kube::Result<Result<ValidDecision, Failed>> {
        let key = policy.and_then(|policy| policy.key.clone());
        let loaded = match self
            .load(world, &request.resource.namespace, config_map, key)
            .await?
        {
            Ok(loaded) => loaded,
            Err(failed) => return Ok(Err(failed)),
        };
        let digest = loaded.digest();
        told.digest = Some(digest.to_owned());
        told.interface = Some(loaded.interface().to_string());
        let pin = policy.and_then(|policy| policy.sha256.as_deref());
        if let Some(pin) = pin.filter(|pin| *pin != digest) {
            let message = format!(
                "ConfigMap {config_map} holds the module {digest}, but spec.policy.sha256 allows only {pin}; upload that module or change the pin"
            );
            return Ok(Err(
                Problem::new(Reason::PolicyDigestMismatch, message).into()
            ));
        }
        Ok(self.evaluate(config_map, loaded, request).await)
    }

    async fn evaluate(
        &self,
        config_map: &str,
        policy: Policy,
        request: &Request,
    ) -> Result<ValidDecision, Failed> {
        let asked = request.clone();
        let Ok(evaluation) = spawn_blocking(move || policy.evaluate(&asked)).await else {
            let message = format!(
                "ConfigMap {config_map}: the evaluation ended unexpectedly; it is tried again"
            );
            return Err(Failed {
                problem: Problem::new(Reason::PolicyTrap, message),
                passing: true,
            });
        };
        let evaluation = evaluation.map_err(|error| evaluation_problem(config_map, &error))?;
        self.metrics
            .policy_duration
            .observe(evaluation.usage.wall_time.as_secs_f64());
        #[expect(
            clippy::cast_precision_loss,
            reason = "a histogram needs no exact fuel"
        )]
        self.metrics
            .policy_fuel
            .observe(evaluation.usage.fuel as f64);
        match evaluation.verdict {
            Ok(decision) => Ok(self.valid(&decision, request, Some(config_map))?),
            Err(refusal) => Err(refused(config_map, refusal).into()),
        }
    }

    /// Checks a decision; without a policy it is the spec that says what cannot be.
    fn valid(
        &self,
        decision: &Decision,
        request: &Request,
        config_map: Option<&str>,
    ) -> Result<ValidDecision, Problem> {
        validate_decision(decision, request, &self.limits).map_err(|error| match config_map {
            None => Problem::new(
                Reason::InvalidSpec,
                format!("the spec is not valid: {error}"),
            ),
            Some(name) => {
                let message =
                    format!("the decision of the policy in ConfigMap {name} is not valid: {error}");
                Problem::new(Reason::PolicyInvalidDecision, message)
            }
        })
    }

    /// Checks a decision that was valid once: it comes from an annotation that anybody may have edited.
    pub fn revalidate(&self, decision: &Decision, request: &Request) -> Option<ValidDecision> {
        validate_decision(decision, request, &self.limits).ok()
    }

    async fn load(
        &self,
        world: &World,
        namespace: &str,
        config_map: &str,
        key: Option<String>,
    ) -> kube::Result<Result<Policy, Failed>> {
        let missing =
            |message: String| Ok(Err(Problem::new(Reason::PolicyMissing, message).into()));
        let Some(facts) = world.config_maps.get(namespace, config_map) else {
            return missing(format!(
                "ConfigMap {config_map} does not exist in this namespace; upload the policy there"
            ));
        };
        let slot = {
            let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                sources
                    .entry((namespace.to_owned(), config_map.to_owned(), key.clone()))
                    .or_default(),
            )
        };
        let mut slot = slot.lock().await;
        match slot
            .as_ref()
            .filter(|read| read.resource_version == facts.resource_version)
            .map(|read| &read.module)
        {
            Some(Err(problem)) => return Ok(Err(problem.clone().into())),
            Some(Ok(digest)) => {
                if let Some(policy) = self.loaded.get(digest) {
                    return Ok(Ok(policy));
                }
            }
            None => {}
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let Some(object) = api.get_opt(config_map).await? else {
            return missing(format!(
                "ConfigMap {config_map} is gone; upload the policy again"
            ));
        };
        let resource_version = object.metadata.resource_version.clone().unwrap_or_default();
        let loaded = match module_of(object, config_map, key.as_deref()) {
            Ok(file) => self.obtain(namespace, config_map, file).await,
            Err(problem) => Err(problem.into()),
        };
        let module = match &loaded {
            Ok(policy) => Ok(policy.digest().to_owned()),
            // What passes is not remembered: the next look tries again.
            Err(failed) if failed.passing => return Ok(loaded),
            Err(failed) => Err(failed.problem.clone()),
        };
        *slot = Some(Read {
            resource_version,
            module,
        });
        Ok(loaded)
    }

    /// The policy of a file: one that is loaded, or of code on the disk, or compiled when it is the namespace's turn.
    async fn obtain(
        &self,
        namespace: &str,
        config_map: &str,
        file: Vec<u8>,
    ) -> Result<Policy, Failed> {
        let (engine, loaded) = (self.engine.clone(), Arc::clone(&self.loaded));
        let found = spawn_blocking(move || find_loaded(&engine, &loaded, &file)).await;
        let found = found.unwrap_or_else(|_| Err(given_up()));
        let module = match found.map_err(|error| load_problem(config_map, &error))? {
            Found::Policy(policy) => return Ok(policy),
            Found::Nothing { module } => module,
        };
        let _turn = self.compiling.turn(namespace).await;
        // Whoever had the turn before may have compiled the same.
        if let Some(policy) = self.loaded.get(&digest(&module)) {
            return Ok(policy);
        }
        let engine = self.engine.clone();
        let compiled = spawn_blocking(move || engine.load(&module)).await;
        let compiled = compiled.unwrap_or_else(|_| Err(given_up()));
        let policy = compiled.map_err(|error| load_problem(config_map, &error));
        let result = policy
            .as_ref()
            .map_or_else(|failed| failed.problem.reason.as_str(), |_| "Compiled");
        self.metrics.compiled(result);
        let policy = policy?;
        self.loaded.insert(policy.clone());
        Ok(policy)
    }
}

/// What there is of a module without compiling it.
enum Found {
    Policy(Policy),
    /// The module, unpacked.
    Nothing {
        module: Vec<u8>,
    },
}

fn find_loaded(engine: &Engine, loaded: &PolicyCache, file: &[u8]) -> Result<Found, LoadError> {
    let module = unpack(file, engine.options().limits.module_bytes)?;
    if let Some(policy) = loaded.get(&digest(&module)) {
        return Ok(Found::Policy(policy));
    }
    Ok(match engine.load_compiled(&module)? {
        Some(policy) => {
            loaded.insert(policy.clone());
            Found::Policy(policy)
        }
        None => Found::Nothing {
            module: module.into_owned(),
        },
    })
}

/// The thread that loads a module ended: the operator is stopping, or the library panicked, which is logged.
fn given_up() -> LoadError {
    LoadError::CompilerUnavailable {
        message: "loading ended unexpectedly".to_owned(),
    }
}

/// How a status names the module's source.
fn source(config_map: &str) -> PolicyStatus {
    PolicyStatus {
        source: format!("configmap/{config_map}"),
        digest: None,
        interface: None,
    }
}
