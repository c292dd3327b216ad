//! Which version of a module decides.

use std::time::Instant;

use ecr_policy_model::Request;
use ecr_policy_verdict::Failed;
use ecr_secret_core::decide::Problem;
use ecr_secret_core::policy_source::PolicySource;
use ecr_secret_core::reason::Reason;
use ecr_secret_engine::Policy;

use super::Policies;
use super::source::Source;
use crate::world::World;

/// Which version of a module decides about a request.
pub(super) enum Choice {
    /// This one, and what is wrong with the newest one if that is another.
    Decides(Policy, Option<Failed>),
    /// None, and why.
    Nobody(Failed),
}

impl Policies {
    /// The version that decides about this request.
    pub(super) async fn choose(
        &self,
        world: &World,
        source: &mut Source,
        from: &PolicySource,
        request: &Request,
        pin: Option<&str>,
        newest: Result<Policy, Failed>,
    ) -> Choice {
        let newest_digest = newest.as_ref().ok().map(Policy::digest);
        let before = match source.serving.as_deref() {
            Some(digest)
                if newest_digest != Some(digest) && pin.is_none_or(|pin| pin == digest) =>
            {
                self.kept(digest).await
            }
            _ => None,
        };
        match (newest, before) {
            // Whoever takes a policy away wants no version of it.
            (Err(failed), _) if failed.problem.reason == Reason::PolicyMissing => {
                Choice::Nobody(failed)
            }
            (Err(failed), None) => Choice::Nobody(failed),
            (Err(failed), Some(before)) => Choice::Decides(before, Some(failed)),
            // A module that is pinned is wanted here, whatever happens to others by it.
            (Ok(newest), _) if pin.is_some() => Choice::Decides(newest, None),
            (Ok(newest), None) => {
                source.serving = Some(newest.digest().to_owned());
                Choice::Decides(newest, None)
            }
            (Ok(newest), Some(before)) => {
                match self.try_out(world, source, from, request, &newest).await {
                    Ok(()) => {
                        source.serving = Some(newest.digest().to_owned());
                        Choice::Decides(newest, None)
                    }
                    Err(mut failed) => {
                        failed.problem.message = format!(
                            "{}; the version {} goes on until the new one {} answers",
                            failed.problem.message,
                            short(before.digest()),
                            short(newest.digest()),
                        );
                        Choice::Decides(before, Some(failed))
                    }
                }
            }
        }
    }

    /// Tries a new version on what it would be asked.
    async fn try_out(
        &self,
        world: &World,
        source: &mut Source,
        from: &PolicySource,
        request: &Request,
        newest: &Policy,
    ) -> Result<(), Failed> {
        let trial = source.trial(request, world, from);
        let (mut failed, at) = match source.failed_before(newest.digest(), &trial) {
            Some(known) => known,
            None => match self.judge.try_out(newest, &from.to_string(), &trial).await {
                Ok(()) => return Ok(()),
                Err((failed, at)) => {
                    source.trial_failed(newest.digest(), &trial[at], &failed);
                    (failed, at)
                }
            },
        };
        if at > 0 {
            let other = &trial[at].resource.name;
            failed.problem.message = format!("{} (for {other})", failed.problem.message);
        }
        Err(failed)
    }

    /// Counts a version that fails, once.
    pub(super) fn blame(&self, source: &mut Source, namespace: &str, failed: &Failed) {
        let innocent = match failed.problem.reason {
            // To deny is what policies are for.
            Reason::PolicyDenied
            | Reason::PolicyMissing
            | Reason::PolicyCompilerUnavailable
            | Reason::PolicyPullFailed => true,
            // A busy host.
            Reason::PolicyResourceLimit => failed.passing,
            _ => false,
        };
        if !innocent && source.is_first_failure() {
            self.patience.failed(namespace, Instant::now());
        }
    }
}

/// Refuses a module that is not the one that the resource allows.
pub(super) fn pinned(
    policy: Policy,
    pin: Option<&str>,
    from: &PolicySource,
) -> Result<Policy, Failed> {
    let digest = policy.digest();
    match pin.filter(|pin| *pin != digest) {
        None => Ok(policy),
        Some(pin) => {
            let message = format!(
                "{from} holds the module {digest}, but spec.policy.sha256 allows only {pin}; upload that module or change the pin"
            );
            Err(Problem::new(Reason::PolicyDigestMismatch, message).into())
        }
    }
}

/// The beginning of a digest, for people.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
