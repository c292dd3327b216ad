//! From a `ConfigMap` to a verdict: finds the module, loads it once, asks it, checks the answer.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use ecr_policy_model::{Refusal, Request, default_decision};
use ecr_secret_core::api::{PolicyRef, PolicyStatus};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::validate::{DecisionLimits, ValidDecision, validate_decision};
use ecr_secret_engine::{Engine, EvaluationError, LoadError, Policy, PolicyCache, digest};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::telemetry::metrics::Metrics;
use crate::world::World;

/// How many modules are compiled at the same time: a tenant's uploads must not take every core.
const COMPILATIONS: usize = 1;
/// How many loaded modules are kept.
const LOADED: NonZeroUsize = NonZeroUsize::new(1_000).unwrap(); // a constant, checked when compiling

/// The policies of all namespaces.
pub struct Policies {
    client: Client,
    engine: Engine,
    limits: DecisionLimits,
    loaded: PolicyCache,
    compiling: Semaphore,
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
}

impl Policies {
    /// Policies on this engine.
    pub fn new(client: Client, engine: Engine, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            engine,
            limits: DecisionLimits::default(),
            loaded: PolicyCache::new(LOADED),
            compiling: Semaphore::new(COMPILATIONS),
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
        let namespace = &request.resource.namespace;
        let config_map = match find(world, namespace, policy) {
            Ok(Some(name)) => name,
            Ok(None) => {
                return Ok(Verdict {
                    decision: self.valid(&default_decision(request), request, Reason::InvalidSpec),
                    policy: None,
                });
            }
            Err(problem) => {
                return Ok(Verdict {
                    decision: Err(problem),
                    policy: policy.and_then(source_only),
                });
            }
        };
        let key = policy.and_then(|policy| policy.key.clone());
        let source = format!("configmap/{config_map}");
        let mut told = PolicyStatus {
            source,
            digest: None,
            interface: None,
        };
        let loaded = match self.load(world, namespace, &config_map, key).await? {
            Ok(loaded) => loaded,
            Err(problem) => {
                return Ok(Verdict {
                    decision: Err(problem),
                    policy: Some(told),
                });
            }
        };
        told.digest = Some(loaded.digest().to_owned());
        told.interface = Some(loaded.interface().to_string());
        if let Some(pin) = policy
            .and_then(|policy| policy.sha256.as_deref())
            .filter(|pin| *pin != loaded.digest())
        {
            let message = format!(
                "ConfigMap {config_map} holds the module {}, but spec.policy.sha256 allows only {pin}; upload that module or change the pin",
                loaded.digest()
            );
            return Ok(Verdict {
                decision: Err(Problem::new(Reason::PolicyDigestMismatch, message)),
                policy: Some(told),
            });
        }
        let decision = self.evaluate(&config_map, loaded, request).await;
        self.metrics.evaluated(
            decision
                .as_ref()
                .map_or_else(|problem| problem.reason.as_str(), |_| "Decided"),
        );
        Ok(Verdict {
            decision,
            policy: Some(told),
        })
    }

    async fn evaluate(
        &self,
        config_map: &str,
        policy: Policy,
        request: &Request,
    ) -> Result<ValidDecision, Problem> {
        let asked = request.clone();
        let evaluation = match spawn_blocking(move || policy.evaluate(&asked)).await {
            Ok(evaluation) => evaluation.map_err(|error| evaluation_problem(config_map, &error))?,
            Err(_) => {
                return Err(Problem::new(
                    Reason::PolicyTrap,
                    format!(
                        "ConfigMap {config_map}: the evaluation ended unexpectedly; it is tried again"
                    ),
                ));
            }
        };
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
            Ok(decision) => self.valid(&decision, request, Reason::PolicyInvalidDecision),
            Err(refusal) => Err(refused(config_map, refusal)),
        }
    }

    fn valid(
        &self,
        decision: &ecr_policy_model::Decision,
        request: &Request,
        reason: Reason,
    ) -> Result<ValidDecision, Problem> {
        validate_decision(decision, request, &self.limits).map_err(|error| {
            let who = if reason == Reason::InvalidSpec {
                "the spec"
            } else {
                "the policy's decision"
            };
            Problem::new(reason, format!("{who} is not valid: {error}"))
        })
    }

    /// Checks a decision that was valid once: it comes from an annotation that anybody may have edited.
    pub fn revalidate(
        &self,
        decision: &ecr_policy_model::Decision,
        request: &Request,
    ) -> Option<ValidDecision> {
        validate_decision(decision, request, &self.limits).ok()
    }

    async fn load(
        &self,
        world: &World,
        namespace: &str,
        config_map: &str,
        key: Option<String>,
    ) -> kube::Result<Result<Policy, Problem>> {
        let Some(facts) = world.config_maps.get(namespace, config_map) else {
            let message = format!(
                "ConfigMap {config_map} does not exist in this namespace; upload the policy there"
            );
            return Ok(Err(Problem::new(Reason::PolicyMissing, message)));
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
        if let Some(read) = slot
            .as_ref()
            .filter(|read| read.resource_version == facts.resource_version)
        {
            match &read.module {
                Err(problem) => return Ok(Err(problem.clone())),
                Ok(digest) => {
                    if let Some(policy) = self.loaded.get(digest) {
                        return Ok(Ok(policy));
                    }
                }
            }
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let Some(object) = api.get_opt(config_map).await? else {
            return Ok(Err(Problem::new(
                Reason::PolicyMissing,
                format!("ConfigMap {config_map} is gone; upload the policy again"),
            )));
        };
        let resource_version = object.metadata.resource_version.clone().unwrap_or_default();
        let module = match module_of(object, config_map, key.as_deref()) {
            Ok(bytes) => self.compile(config_map, bytes).await,
            Err(problem) => Err(problem),
        };
        let (read, result) = match module {
            Ok(policy) => (Ok(policy.digest().to_owned()), Ok(policy)),
            Err(problem) => (Err(problem.clone()), Err(problem)),
        };
        *slot = Some(Read {
            resource_version,
            module: read,
        });
        Ok(result)
    }

    async fn compile(&self, config_map: &str, bytes: Vec<u8>) -> Result<Policy, Problem> {
        if let Some(policy) = self.loaded.get(&digest(&bytes)) {
            return Ok(policy);
        }
        let _permit = self.compiling.acquire().await;
        let engine = self.engine.clone();
        let policy = match spawn_blocking(move || engine.load(&bytes)).await {
            Ok(loaded) => loaded.map_err(|error| load_problem(config_map, &error))?,
            Err(_) => {
                return Err(Problem::new(
                    Reason::PolicyCompileFailed,
                    format!(
                        "ConfigMap {config_map}: the compiler gave up on the module; build it anew"
                    ),
                ));
            }
        };
        self.loaded.insert(policy.clone());
        Ok(policy)
    }
}

/// The name of the `ConfigMap` that decides; none when none shall.
fn find(
    world: &World,
    namespace: &str,
    policy: Option<&PolicyRef>,
) -> Result<Option<String>, Problem> {
    if let Some(name) = policy.and_then(|policy| policy.config_map.clone()) {
        return Ok(Some(name));
    }
    let defaults: Vec<String> = world
        .config_maps
        .in_namespace(namespace)
        .into_iter()
        .filter(|(_, facts)| facts.default_policy)
        .map(|(name, _)| name)
        .collect();
    match (defaults.as_slice(), policy) {
        ([one], _) => Ok(Some(one.clone())),
        ([], None) => Ok(None),
        ([], Some(_)) => Err(Problem::new(
            Reason::PolicyMissing,
            "spec.policy names no config_map, and no ConfigMap of this namespace has the label ecr.mobb.redhat.com/default-policy=true; do one of both",
        )),
        (many, _) => Err(Problem::new(
            Reason::PolicyAmbiguous,
            format!(
                "{} ConfigMaps have the label ecr.mobb.redhat.com/default-policy=true ({}); leave it on one",
                many.len(),
                many.join(", ")
            ),
        )),
    }
}

fn source_only(policy: &PolicyRef) -> Option<PolicyStatus> {
    policy.config_map.as_ref().map(|name| PolicyStatus {
        source: format!("configmap/{name}"),
        digest: None,
        interface: None,
    })
}

/// The module's bytes: the named key, else the only one.
fn module_of(object: ConfigMap, config_map: &str, key: Option<&str>) -> Result<Vec<u8>, Problem> {
    let mut binary = object.binary_data.unwrap_or_default();
    let text = object.data.unwrap_or_default();
    let missing = |message: String| Err(Problem::new(Reason::PolicyMissing, message));
    let key = match key {
        Some(key) => key.to_owned(),
        None if binary.len() == 1 => binary.keys().next().cloned().unwrap_or_default(),
        None if binary.contains_key("policy.wasm") => "policy.wasm".to_owned(),
        None if binary.is_empty() && text.is_empty() => {
            return missing(format!(
                "ConfigMap {config_map} is empty; put the module under the key policy.wasm of binaryData"
            ));
        }
        None if binary.is_empty() => {
            let message = format!(
                "ConfigMap {config_map} holds text only; a module is binary: create it with kubectl create configmap {config_map} --from-file=policy.wasm"
            );
            return Err(Problem::new(Reason::PolicyNotAComponent, message));
        }
        None => {
            return missing(format!(
                "ConfigMap {config_map} has {} keys in binaryData; name one in spec.policy.key",
                binary.len()
            ));
        }
    };
    match binary.remove(&key) {
        Some(bytes) => Ok(bytes.0),
        None if text.contains_key(&key) => {
            let message = format!(
                "key {key} of ConfigMap {config_map} is text; a module is binary: create it with kubectl create configmap {config_map} --from-file={key}"
            );
            Err(Problem::new(Reason::PolicyNotAComponent, message))
        }
        None => missing(format!(
            "ConfigMap {config_map} has no key {key} in binaryData; correct spec.policy.key or upload the module under it"
        )),
    }
}

fn load_problem(config_map: &str, error: &LoadError) -> Problem {
    let reason = match error {
        LoadError::ModuleTooLarge { .. } => Reason::PolicyTooLarge,
        LoadError::NotAComponent { .. } => Reason::PolicyNotAComponent,
        LoadError::ImportDenied { .. } => Reason::PolicyImportDenied,
        LoadError::InterfaceMismatch { .. } => Reason::PolicyInterfaceMismatch,
        LoadError::MemoryLimit { .. } => Reason::PolicyMemoryLimit,
        LoadError::TableLimit { .. } | LoadError::InstanceLimit { .. } | LoadError::Busy { .. } => {
            Reason::PolicyResourceLimit
        }
        _ => Reason::PolicyCompileFailed,
    };
    Problem::new(reason, format!("ConfigMap {config_map}: {error}"))
}

fn evaluation_problem(config_map: &str, error: &EvaluationError) -> Problem {
    let reason = match error {
        EvaluationError::DeadlineExceeded { .. } => Reason::PolicyDeadlineExceeded,
        EvaluationError::FuelExhausted { .. } => Reason::PolicyFuelExhausted,
        EvaluationError::MemoryLimit { .. } => Reason::PolicyMemoryLimit,
        EvaluationError::StackExhausted { .. } => Reason::PolicyStackExhausted,
        EvaluationError::ResultTooLarge { .. } => Reason::PolicyResultTooLarge,
        EvaluationError::InvalidResult { .. } => Reason::PolicyInvalidDecision,
        EvaluationError::Trap { .. } => Reason::PolicyTrap,
        EvaluationError::LinkFailed { .. } => Reason::PolicyInterfaceMismatch,
        _ => Reason::PolicyResourceLimit,
    };
    Problem::new(reason, format!("ConfigMap {config_map}: {error}"))
}

fn refused(config_map: &str, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Denied(why) => Problem::new(
            Reason::PolicyDenied,
            format!(
                "the policy in ConfigMap {config_map} denies: {}",
                line(&why)
            ),
        ),
        Refusal::InvalidSettings(errors) => {
            let told = errors.iter().take(5).map(|error| {
                if error.field.is_empty() {
                    line(&error.message)
                } else {
                    format!("{}: {}", line(&error.field), line(&error.message))
                }
            });
            let told = told.collect::<Vec<_>>().join("; ");
            Problem::new(
                Reason::PolicyInvalidSettings,
                format!(
                    "the policy in ConfigMap {config_map} refuses spec.policy.settings: {told}"
                ),
            )
        }
    }
}

/// A guest's text as one line of bounded length.
fn line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(500)
        .collect()
}
