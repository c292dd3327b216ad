//! The engine: one for a process, shared by all policies.

use std::sync::Arc;

use ecr_policy_model::Request;
use wasmtime::component::Linker;

use crate::{
    EngineError, EngineOptions, EvaluationError, LoadError, Policy,
    bindings::v1,
    compile::compile,
    config, digest,
    inspect::{Inspection, inspect},
    policy::Interface,
    slots::Slots,
    state::State,
    text, ticker, wasi,
};

/// Loads policies. A clone is the same engine.
///
/// A process needs one: an engine keeps a pool of instances, and the compiler's working memory.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What an engine and its policies share.
pub(crate) struct Shared {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) options: EngineOptions,
    pub(crate) slots: Slots,
    pooled: bool,
}

impl Engine {
    /// Starts an engine and the thread that watches the time of its policies. The thread ends soon after the
    /// last clone of the engine and the last policy are dropped.
    ///
    /// # Errors
    /// A limit is out of its range, no thread can be started, or wasmtime does not work on this machine.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        options.limits.check()?;
        if options.max_concurrent == 0 {
            let limit = "max_concurrent";
            return Err(EngineError::LimitTooSmall {
                limit,
                value: 0,
                bound: 1,
            });
        }
        let (wasmtime, pooled) = config::start(&options)?;
        ticker::start(wasmtime.weak())?;
        let slots = Slots::new(options.max_concurrent);
        Ok(Self {
            shared: Arc::new(Shared {
                wasmtime,
                options,
                slots,
                pooled,
            }),
        })
    }

    /// The options that the engine runs with.
    pub fn options(&self) -> &EngineOptions {
        &self.shared.options
    }

    /// Whether instances come from a pool, as they do unless the machine does not give the address space.
    pub fn is_pooled(&self) -> bool {
        self.shared.pooled
    }

    /// Checks, compiles and links a module, and makes one instance of it to see whether its types fit.
    ///
    /// Blocks for the time of the compilation, some tens of milliseconds for a usual policy. The instance
    /// runs the module's start functions inside the limits; a module that fails there is taken, and
    /// says so in each evaluation.
    ///
    /// # Errors
    /// What is wrong with the module, by the first check that it does not pass: size, format, names of
    /// imports and exports, declared sizes, code, types.
    pub fn load(&self, bytes: &[u8]) -> Result<Policy, LoadError> {
        let engine = &self.shared.wasmtime;
        let Inspection {
            interface,
            uses_wasi,
        } = inspect(bytes, &self.shared.options.limits)?;
        let component = compile(engine, bytes)?;
        let mut linker = Linker::<State>::new(engine);
        if uses_wasi {
            wasi::link(engine, &mut linker, &component)
                .map_err(|error| mismatch(interface, &error))?;
        }
        let prepared = match interface {
            Interface::V1 => linker
                .instantiate_pre(&component)
                .and_then(v1::BindingsPre::new)
                .map_err(|error| mismatch(interface, &error))?,
        };
        let policy = Policy::new(
            Arc::clone(&self.shared),
            digest(bytes),
            interface,
            prepared,
            bytes.len(),
        );
        match policy.try_out(&Request::default()) {
            Err(EvaluationError::LinkFailed { message }) => Err(LoadError::InterfaceMismatch {
                expected: interface.export().into(),
                found: message,
            }),
            Err(EvaluationError::Busy { waited }) => Err(LoadError::Busy { waited }),
            // Whatever else goes wrong in a start function is for the evaluations to tell.
            Ok(()) | Err(_) => Ok(policy),
        }
    }
}

/// The error for names that fit with types that do not.
fn mismatch(interface: Interface, error: &wasmtime::Error) -> LoadError {
    LoadError::InterfaceMismatch {
        expected: interface.export().into(),
        found: text::one_line(&format!("{error:#}"), text::MESSAGE_BYTES),
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("options", &self.shared.options)
            .field("pooled", &self.shared.pooled)
            .finish_non_exhaustive()
    }
}
