//! From a source to a loaded policy: from memory, from the disk, or from the compiler.

use std::sync::Arc;

use ecr_policy_verdict::{Failed, load_problem};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::policy_source::{PolicySource, module_of};
use ecr_secret_core::reason::Reason;
use ecr_secret_engine::{Engine, LoadError, Module, Policy, PolicyCache};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::task::spawn_blocking;

use super::images::Asked;
use super::source::{Read, Source};
use super::{Place, Policies};
use crate::world::World;

impl Policies {
    /// The newest version, as the source has it.
    pub(super) async fn load(
        &self,
        world: &World,
        source: &mut Source,
        (namespace, from): &Place,
    ) -> kube::Result<Result<Policy, Failed>> {
        match from {
            PolicySource::ConfigMap { name, key } => {
                self.load_map(world, source, namespace, name, key.as_deref())
                    .await
            }
            PolicySource::Image {
                reference,
                pull_secret,
            } => {
                let secret = pull_secret.as_deref();
                self.load_image(source, namespace, reference, secret).await
            }
        }
    }

    /// A module of a registry. Its reference says which one it is for ever, so it is fetched once.
    async fn load_image(
        &self,
        source: &mut Source,
        namespace: &str,
        reference: &str,
        pull_secret: Option<&str>,
    ) -> kube::Result<Result<Policy, Failed>> {
        match source.read.as_ref().map(|read| &read.module) {
            Some(Err(problem)) => return Ok(Err(problem.clone().into())),
            Some(Ok(digest)) => {
                if let Some(policy) = self.kept(digest).await {
                    return Ok(Ok(policy));
                }
            }
            None => {}
        }
        let most = self.engine.options().limits.module_bytes;
        let asked = Asked {
            namespace,
            reference,
            pull_secret,
        };
        let found = self.images.find(&self.client, &asked, most).await?;
        let loaded = match found {
            Err(failed) => Err(failed),
            Ok(layer) => match self.kept(&layer.digest).await {
                // After a restart the code is on the disk, and the module need not be fetched.
                Some(policy) => Ok(policy),
                None => match self.images.fetch(layer, most).await {
                    Ok(file) => {
                        let named = format!("image {reference}");
                        self.obtain(namespace, &named, file).await
                    }
                    Err(failed) => Err(failed),
                },
            },
        };
        remember(source, String::new(), &loaded);
        Ok(loaded)
    }

    /// A module of a `ConfigMap`.
    async fn load_map(
        &self,
        world: &World,
        source: &mut Source,
        namespace: &str,
        config_map: &str,
        key: Option<&str>,
    ) -> kube::Result<Result<Policy, Failed>> {
        let missing =
            |message: String| Ok(Err(Problem::new(Reason::PolicyMissing, message).into()));
        let Some(facts) = world.config_maps.get(namespace, config_map) else {
            return missing(format!(
                "ConfigMap {config_map} does not exist in this namespace; upload the policy there"
            ));
        };
        match source
            .read
            .as_ref()
            .filter(|read| read.resource_version == facts.resource_version)
            .map(|read| &read.module)
        {
            Some(Err(problem)) => return Ok(Err(problem.clone().into())),
            Some(Ok(digest)) => {
                if let Some(policy) = self.kept(digest).await {
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
        let loaded = match module_of(object, config_map, key) {
            Ok(file) => {
                let named = format!("ConfigMap {config_map}");
                self.obtain(namespace, &named, file).await
            }
            Err(problem) => Err(problem.into()),
        };
        remember(source, resource_version, &loaded);
        Ok(loaded)
    }

    /// The policy of a file: one that is loaded, or of code on the disk, or compiled when it is the namespace's turn.
    async fn obtain(&self, namespace: &str, named: &str, file: Vec<u8>) -> Result<Policy, Failed> {
        let (engine, loaded) = (self.engine.clone(), Arc::clone(&self.loaded));
        let found = spawn_blocking(move || find_loaded(&engine, &loaded, &file)).await;
        let found = found.unwrap_or_else(|_| Err(given_up()));
        let module = match found.map_err(|error| load_problem(named, &error))? {
            Found::Policy(policy) => return Ok(policy),
            Found::Module(module) => module,
        };
        let _turn = self.compiling.turn(namespace).await;
        // Whoever had the turn before may have compiled the same.
        if let Some(policy) = self.loaded.get(module.digest()) {
            return Ok(policy);
        }
        let engine = self.engine.clone();
        let compiled = spawn_blocking(move || engine.compile(&module)).await;
        let compiled = compiled.unwrap_or_else(|_| Err(given_up()));
        let policy = compiled.map_err(|error| load_problem(named, &error));
        let result = policy
            .as_ref()
            .map_or_else(|failed| failed.problem.reason.as_str(), |_| "Compiled");
        self.metrics.compiled(result);
        let policy = policy?;
        self.loaded.insert(policy.clone());
        Ok(policy)
    }

    /// A version that was loaded before: it may still be, or its code may lie on the disk.
    pub(super) async fn kept(&self, digest: &str) -> Option<Policy> {
        if let Some(policy) = self.loaded.get(digest) {
            return Some(policy);
        }
        let (engine, wanted) = (self.engine.clone(), digest.to_owned());
        let policy = spawn_blocking(move || engine.load_kept(&wanted))
            .await
            .ok()??;
        self.loaded.insert(policy.clone());
        Some(policy)
    }
}

/// Remembers what a source held. What passes is not remembered: the next look tries again.
fn remember(source: &mut Source, resource_version: String, loaded: &Result<Policy, Failed>) {
    let module = match loaded {
        Ok(policy) => Ok(policy.digest().to_owned()),
        Err(failed) if failed.passing => return,
        Err(failed) => Err(failed.problem.clone()),
    };
    source.read = Some(Read {
        resource_version,
        module,
    });
}

/// What there is of a module without compiling it.
enum Found {
    Policy(Policy),
    /// Nothing but itself: it is to be compiled.
    Module(Module),
}

fn find_loaded(engine: &Engine, loaded: &PolicyCache, file: &[u8]) -> Result<Found, LoadError> {
    let module = engine.prepare(file)?;
    if let Some(policy) = loaded.get(module.digest()) {
        return Ok(Found::Policy(policy));
    }
    Ok(match engine.load_kept(module.digest()) {
        Some(policy) => {
            loaded.insert(policy.clone());
            Found::Policy(policy)
        }
        None => Found::Module(module),
    })
}

/// The thread that loads a module ended: the operator is stopping, or the library panicked, which is logged.
fn given_up() -> LoadError {
    LoadError::CompilerUnavailable {
        message: "loading ended unexpectedly".to_owned(),
    }
}
