//! A place that modules come from, a key of a `ConfigMap` or a registry, and which of its versions decides.
//!
//! A new version takes over once it answers every request that the version before it answers. Until then
//! the version before it goes on, and the resources' conditions say what is wrong with the new one. Requests
//! are the last ones of the namespace's resources, so the version is tried on what it will really be asked.

use std::collections::VecDeque;
use std::sync::Arc;

use ecr_policy_model::Request;
use ecr_policy_verdict::Failed;
use ecr_secret_core::decide::Problem;
use ecr_secret_core::policy_source::PolicySource;

use crate::world::World;

/// On how many of the last requests a new version is tried.
const TRIED_ON: usize = 32;

/// The state of one source.
#[derive(Default)]
pub(super) struct Source {
    /// What was read last.
    pub(super) read: Option<Read>,
    /// The digest of the version that decides.
    pub(super) serving: Option<String>,
    recent: VecDeque<Asked>,
    failed_trial: Option<FailedTrial>,
    /// The `resourceVersion` whose failure was counted.
    blamed: Option<String>,
}

/// The last trial of a new version that failed.
struct FailedTrial {
    digest: String,
    /// The request that it did not answer.
    request: Request,
    failed: Failed,
}

/// What a source held at a `resourceVersion`, which an image does not have: the digest of a module that loads, or what is
/// wrong.
pub(super) struct Read {
    pub(super) resource_version: String,
    pub(super) module: Result<String, Problem>,
}

/// The last request of a resource.
struct Asked {
    request: Request,
    answered: bool,
}

impl Source {
    /// The versions that are still of use: the one that decides, and the newest.
    pub(super) fn digests(&self) -> impl Iterator<Item = &str> {
        let newest = self
            .read
            .as_ref()
            .and_then(|read| read.module.as_ref().ok());
        self.serving.iter().chain(newest).map(String::as_str)
    }

    /// Remembers what a resource was told.
    pub(super) fn remember(&mut self, request: &Request, answered: bool) {
        let uid = &request.resource.uid;
        self.recent
            .retain(|asked| asked.request.resource.uid != *uid);
        self.recent.push_back(Asked {
            request: request.clone(),
            answered,
        });
        if self.recent.len() > TRIED_ON {
            self.recent.pop_front();
        }
    }

    /// What a new version has to answer before it takes over: this request first, then those of the other resources that
    /// still are and still use the source, as far as the present version answers them.
    pub(super) fn trial(
        &mut self,
        request: &Request,
        world: &World,
        from: &PolicySource,
    ) -> Arc<[Request]> {
        self.recent.retain(|asked| {
            let resource = &asked.request.resource;
            let facts = world
                .resources(resource.kind)
                .get(&resource.namespace, &resource.name);
            facts.is_some_and(|facts| {
                let elsewhere = facts.policy.as_ref().is_some_and(|policy| policy != from);
                facts.uid == resource.uid && !elsewhere
            })
        });
        let others = self
            .recent
            .iter()
            .filter(|asked| asked.answered && asked.request.resource.uid != request.resource.uid)
            .map(|asked| asked.request.clone());
        std::iter::once(request.clone()).chain(others).collect()
    }

    /// Why a version fails this trial and at which request, if that is known: one of the requests is the one that it failed on before, and the
    /// same request gives the same answer. So a version that fails is tried once, and not by every resource.
    pub(super) fn failed_before(&self, digest: &str, trial: &[Request]) -> Option<(Failed, usize)> {
        let last = self
            .failed_trial
            .as_ref()
            .filter(|last| last.digest == digest)?;
        let at = trial.iter().position(|request| *request == last.request)?;
        Some((last.failed.clone(), at))
    }

    /// Remembers on which request a version failed. What passes by itself is not remembered.
    pub(super) fn trial_failed(&mut self, digest: &str, request: &Request, failed: &Failed) {
        self.failed_trial = (!failed.passing).then(|| FailedTrial {
            digest: digest.to_owned(),
            request: request.clone(),
            failed: failed.clone(),
        });
    }

    /// Whether what is in the source now fails for the first time. Tells so once for each `resourceVersion`.
    pub(super) fn is_first_failure(&mut self) -> bool {
        let version = self.read.as_ref().map(|read| &read.resource_version);
        let version = version.cloned().unwrap_or_default();
        let first = self.blamed.as_ref() != Some(&version);
        self.blamed = Some(version);
        first
    }
}
