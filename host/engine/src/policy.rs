//! A loaded policy, and one evaluation of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ecr_policy_model::{Decision, Description, FieldError, Refusal, Request};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, UpdateDeadline};

use crate::{
    CompileCost, EvaluationError, Limits, Usage,
    bindings::v1,
    engine::Shared,
    failure::{Phase, classify},
    slots::Slot,
    state::State,
};

/// A version of the interface that the host serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interface {
    /// `mobb:ecr-policy@1.0.0`.
    V1,
}

impl Interface {
    /// The newest version.
    pub const LATEST: Self = Self::V1;

    /// The package and version, as in a resource's status: `mobb:ecr-policy@1.0.0`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "mobb:ecr-policy@1.0.0",
        }
    }

    /// The export that a policy of this version has.
    pub(crate) const fn export(self) -> &'static str {
        match self {
            Self::V1 => "mobb:ecr-policy/decide@1.0.0",
        }
    }

    /// The export by which it describes itself.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::V1 => "mobb:ecr-policy/about@1.0.0",
        }
    }

    /// The version that serves a module with `version` in its names. A patch changes no interface, so any
    /// will do; a later minor version may have functions that this host does not know.
    pub(crate) fn of_version(version: &str) -> Option<Self> {
        let patch = version.strip_prefix("1.0.")?;
        (!patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit())).then_some(Self::V1)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A policy that is checked, compiled and linked. A clone is the same policy, and costs nothing.
#[derive(Clone)]
pub struct Policy {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    prepared: v1::BindingsPre<State>,
    origin: Origin,
    /// Nanoseconds; [`NEVER`] before the first run.
    last_run: AtomicU64,
}

/// Marks a policy that has not run.
const NEVER: u64 = u64::MAX;

/// What is known of a policy from its loading.
pub(crate) struct Origin {
    pub(crate) digest: String,
    pub(crate) interface: Interface,
    pub(crate) module_bytes: usize,
    pub(crate) code_bytes: usize,
    pub(crate) instances: u64,
    pub(crate) cost: CompileCost,
}

/// An answer, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What the policy decided, or why it refuses.
    pub verdict: Result<Decision, Refusal>,
    /// What it used of its limits.
    pub usage: Usage,
    /// What it wrote to standard output and standard error, up to [`Limits::log_bytes`].
    pub log: String,
}

/// The result of a run with what it took, also when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<T = Result<Decision, Refusal>> {
    /// What the policy answered, a decision or why it refuses; or why there is no answer.
    pub outcome: Result<T, EvaluationError>,
    /// What it used of its limits.
    pub usage: Usage,
    /// What it wrote to standard output and standard error, up to [`Limits::log_bytes`].
    pub log: String,
}

impl Policy {
    pub(crate) fn new(
        shared: Arc<Shared>,
        prepared: v1::BindingsPre<State>,
        origin: Origin,
    ) -> Self {
        let inner = Inner {
            shared,
            prepared,
            origin,
            last_run: AtomicU64::new(NEVER),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The SHA-256 of the module in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.inner.origin.digest
    }

    /// The version of the interface that the module was built for.
    pub fn interface(&self) -> Interface {
        self.inner.origin.interface
    }

    /// The size of the module in bytes, unpacked.
    pub fn module_bytes(&self) -> usize {
        self.inner.origin.module_bytes
    }

    /// The size of its machine code in bytes, which is what a loaded policy holds of the host's memory.
    pub fn code_bytes(&self) -> usize {
        self.inner.origin.code_bytes
    }

    /// What the compilation took, now or when the code came to the disk.
    pub fn compile_cost(&self) -> CompileCost {
        self.inner.origin.cost
    }

    /// The processor time that its last run took, with the making of the instance; none if nobody has asked it anything since
    /// it was loaded. It tells whether a host does well to run it beside its own work: unlike fuel it counts what an
    /// instruction does, and unlike [`Usage::wall_time`] not what else the machine does.
    pub fn last_run(&self) -> Option<Duration> {
        let nanos = self.inner.last_run.load(Ordering::Relaxed);
        (nanos != NEVER).then(|| Duration::from_nanos(nanos))
    }

    /// Asks the policy about one resource, in a new instance and inside the limits.
    ///
    /// Blocks for at most the limits' wall time, and before it for at most the engine's `max_wait` when all
    /// places are taken. The same request gives the same answer and the same fuel.
    ///
    /// # Errors
    /// There is no answer: a limit was reached, or the guest failed. A refusal is an answer.
    pub fn evaluate(&self, request: &Request) -> Result<Evaluation, EvaluationError> {
        let Run {
            outcome,
            usage,
            log,
        } = self.run(request);
        outcome.map(|verdict| Evaluation {
            verdict,
            usage,
            log,
        })
    }

    /// As [`Policy::evaluate`], and tells also of a failed run what it used and what it wrote.
    pub fn run(&self, request: &Request) -> Run {
        let question = v1::request(request);
        let mut run = self.ask(request, |store, bindings| {
            let verdict = bindings
                .mobb_ecr_policy_decide()
                .call_evaluate(store, &question);
            verdict.map(v1::verdict)
        });
        if let Ok(verdict) = &run.outcome {
            run.usage.result_bytes = size_of_answer(verdict);
        }
        run
    }

    /// Asks the policy what it is, inside the limits.
    ///
    /// # Errors
    /// As [`Policy::evaluate`].
    pub fn describe(&self) -> Result<Description, EvaluationError> {
        let run = self.ask(&Request::default(), |store, bindings| {
            let description = bindings.mobb_ecr_policy_about().call_describe(store);
            description.map(v1::description)
        });
        run.outcome
    }

    /// Asks the policy whether settings, as JSON text, are good as far as that can be told without a request. What is
    /// wrong with them is the inner error.
    ///
    /// # Errors
    /// As [`Policy::evaluate`].
    pub fn validate_settings(
        &self,
        settings: &str,
    ) -> Result<Result<(), Vec<FieldError>>, EvaluationError> {
        let run = self.ask(&Request::default(), |store, bindings| {
            let checked = bindings
                .mobb_ecr_policy_about()
                .call_validate_settings(store, settings);
            checked.map(|checked| checked.map_err(v1::field_errors))
        });
        run.outcome
    }

    /// One call in a new instance; the clock and the random numbers of a guest that has any come from `request`.
    fn ask<T>(
        &self,
        request: &Request,
        call: impl FnOnce(&mut Store<State>, &v1::Bindings) -> wasmtime::Result<T>,
    ) -> Run<T> {
        let _slot = match self.slot() {
            Ok(slot) => slot,
            Err(error) => {
                return Run {
                    outcome: Err(error),
                    usage: self.usage_of_loading(),
                    log: String::new(),
                };
            }
        };
        let limits = self.limits();
        let (started, before) = (Instant::now(), processor_time());
        let mut store = self.store(request, started + limits.wall_time);
        let outcome = match self.inner.prepared.instantiate(&mut store) {
            Err(error) => Err((error, Phase::Instantiate)),
            Ok(bindings) => call(&mut store, &bindings).map_err(|error| (error, Phase::Call)),
        };
        let left = store.get_fuel().unwrap_or(0);
        let state = store.into_data();
        let took = processor_time().saturating_sub(before);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(NEVER - 1);
        self.inner.last_run.store(nanos, Ordering::Relaxed);
        let (memory_bytes, table_elements) =
            (state.limiter.memory_bytes, state.limiter.table_elements);
        let log = state.into_log();
        let usage = Usage {
            wall_time: started.elapsed(),
            fuel: limits.fuel.saturating_sub(left),
            memory_bytes,
            table_elements,
            log_bytes: log.written,
            ..self.usage_of_loading()
        };
        let log = log.into_text();
        let outcome = outcome.map_err(|(error, phase)| classify(&error, phase, limits, &log));
        Run {
            outcome,
            usage,
            log,
        }
    }

    /// Makes an instance and nothing more.
    pub(crate) fn try_out(&self, request: &Request) -> Result<(), EvaluationError> {
        let _slot = self.slot()?;
        let limits = self.limits();
        let mut store = self.store(request, Instant::now() + limits.wall_time);
        self.inner
            .prepared
            .instantiate(&mut store)
            .map(drop)
            .map_err(|error| classify(&error, Phase::Instantiate, limits, ""))
    }

    /// What is used before anything runs.
    fn usage_of_loading(&self) -> Usage {
        let origin = &self.inner.origin;
        Usage {
            instances: origin.instances,
            module_bytes: origin.module_bytes,
            compile_cpu: origin.cost.cpu,
            compile_memory_bytes: origin.cost.memory_bytes,
            ..Usage::default()
        }
    }

    fn limits(&self) -> &Limits {
        &self.inner.shared.options.limits
    }

    fn slot(&self) -> Result<Slot<'_>, EvaluationError> {
        let waited: Duration = self.inner.shared.options.max_wait;
        self.inner
            .shared
            .slots
            .take(waited)
            .ok_or(EvaluationError::Busy { waited })
    }

    /// A store with all limits set. They are set before there is an instance, because to make one runs code
    /// of the guest.
    fn store(&self, request: &Request, until: Instant) -> Store<State> {
        let limits = self.limits();
        let mut store = Store::new(&self.inner.shared.wasmtime, State::new(limits, request));
        store.limiter(|state| &mut state.limiter);
        if let Err(error) = store.set_fuel(limits.fuel) {
            // The engine's configuration has fuel on, so there is no other case. Without fuel the store
            // starts with none, and the guest ends at once.
            tracing::error!(%error, "the fuel of a policy could not be set");
        }
        store.epoch_deadline_callback(move |_| {
            // A tick is only the occasion: a ticker that was late does not end a guest that was in time.
            Ok(if Instant::now() >= until {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Continue(1)
            })
        });
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(limits.result_bytes);
        store.set_max_component_handles(limits.handles);
        store
    }
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("digest", &self.inner.origin.digest)
            .field("interface", &self.inner.origin.interface)
            .field("module_bytes", &self.inner.origin.module_bytes)
            .finish_non_exhaustive()
    }
}

/// What an answer takes of [`Limits::result_bytes`]: its texts, and a place for each item of a list.
fn size_of_answer(verdict: &Result<Decision, Refusal>) -> usize {
    let pairs = |pairs: &[(String, String)]| {
        let texts = pairs.iter().map(|(key, value)| key.len() + value.len());
        size_of_val(pairs) + texts.sum::<usize>()
    };
    match verdict {
        Ok(decision) => {
            let accounts = &decision.service_accounts;
            let names = accounts.iter().map(|account| account.name.len());
            decision.secret_name.len()
                + pairs(&decision.labels)
                + pairs(&decision.annotations)
                + size_of_val(accounts.as_slice())
                + names.sum::<usize>()
        }
        Err(Refusal::Denied(message)) => message.len(),
        Err(Refusal::InvalidSettings(errors)) => {
            let texts = errors
                .iter()
                .map(|error| error.field.len() + error.message.len());
            size_of_val(errors.as_slice()) + texts.sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_the_interface_is_served_and_another_version_is_not() {
        for version in ["1.0.0", "1.0.9", "1.0.12"] {
            assert_eq!(
                Interface::of_version(version),
                Some(Interface::V1),
                "{version}"
            );
        }
        for version in [
            "",
            "1",
            "1.0",
            "1.0.",
            "1.1.0",
            "2.0.0",
            "0.1.0",
            "1.0.0-rc.1",
            "11.0.0",
        ] {
            assert_eq!(Interface::of_version(version), None, "{version}");
        }
    }
}
