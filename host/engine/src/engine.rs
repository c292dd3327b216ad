//! The engine: one for a process, shared by all policies.

use std::sync::Arc;

use ecr_policy_model::Request;
use wasmtime::component::Linker;

use crate::{
    EngineError, EngineOptions, EvaluationError, LoadError, Module, Policy,
    bindings::v1,
    compile::{self, compile},
    config,
    disk::{Disk, Kept},
    policy::{Interface, Origin},
    slots::Slots,
    state::State,
    text, ticker, wasi,
};

/// Loads policies. A clone is the same engine.
///
/// A process needs one: an engine keeps a pool of instances and, if it compiles in this process, the compiler's
/// working memory.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What an engine and its policies share.
pub(crate) struct Shared {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) options: EngineOptions,
    pub(crate) slots: Slots,
    disk: Option<Disk>,
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
        let disk = options.disk.as_ref().and_then(|disk| {
            Disk::open(disk, &wasmtime)
                .inspect_err(|error| {
                    let directory = disk.directory.display();
                    tracing::warn!(%directory, %error, "compiled policies are not kept on the disk: each start compiles them anew");
                })
                .ok()
        });
        Ok(Self {
            shared: Arc::new(Shared {
                wasmtime,
                options,
                slots,
                disk,
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
    /// Takes a file that is compressed by gzip or zstd, too; all that is told of the module is told of what it
    /// unpacks to. Machine code from the disk is used if it is there. Otherwise this blocks for the time of the
    /// compilation, some tens of milliseconds for a usual policy. The instance runs the module's start
    /// functions inside the limits; a module that fails there is taken, and says so in each evaluation.
    ///
    /// # Errors
    /// What is wrong with the module, by the first check that it does not pass: size, format, names of
    /// imports and exports, declared sizes, code, types.
    pub fn load(&self, file: &[u8]) -> Result<Policy, LoadError> {
        let module = self.prepare(file)?;
        match self.load_kept(module.digest()) {
            Some(policy) => Ok(policy),
            None => self.compile(&module),
        }
    }

    /// The first half of [`Engine::load`], which takes a millisecond: unpacks a file, and checks what can be checked
    /// without compiling.
    ///
    /// # Errors
    /// The file is no module that this engine would compile.
    pub fn prepare(&self, file: &[u8]) -> Result<Module, LoadError> {
        Module::of_file(file, &self.options().limits)
    }

    /// The second half of [`Engine::load`]: compiles and links, and keeps the code on the disk.
    ///
    /// # Errors
    /// What is wrong with the module's code or types, or why it cannot be compiled here.
    pub fn compile(&self, module: &Module) -> Result<Policy, LoadError> {
        let options = self.options();
        let bytes = module.bytes();
        let kept = Kept {
            artifact: compile(
                &self.shared.wasmtime,
                &options.compilation,
                &options.limits,
                bytes,
            )?,
            inspection: module.inspection(),
            module_bytes: bytes.len(),
        };
        let policy = self.link(&kept, module.digest())?;
        if let Some(disk) = &self.shared.disk {
            disk.put(module.digest(), &kept);
        }
        Ok(policy)
    }

    /// The policy of the module with this digest, if its code is on the disk. The module is not needed.
    pub fn load_kept(&self, digest: &str) -> Option<Policy> {
        let disk = self.shared.disk.as_ref()?;
        // It becomes a part of a path, and may come from where others can write.
        if !is_digest(digest) {
            return None;
        }
        match self.link(&disk.get(digest)?, digest) {
            Ok(policy) => Some(policy),
            Err(LoadError::Busy { .. }) => None,
            // It was good when it was kept, so this is code of another engine under the name of ours.
            Err(error) => {
                tracing::warn!(module = digest, %error, "compiled code on the disk is not used, it is made anew");
                disk.forget(digest);
                None
            }
        }
    }

    fn link(&self, kept: &Kept, digest: &str) -> Result<Policy, LoadError> {
        let Kept {
            artifact,
            inspection,
            module_bytes,
        } = kept;
        let engine = &self.shared.wasmtime;
        let component = compile::load(engine, &artifact.code).map_err(|error| {
            let message = text::one_line(&format!("{error:#}"), text::MESSAGE_BYTES);
            LoadError::CompilerUnavailable { message }
        })?;
        let interface = inspection.interface;
        let mut linker = Linker::<State>::new(engine);
        if inspection.uses_wasi {
            wasi::link(engine, &mut linker, &component)
                .map_err(|error| mismatch(interface, &error))?;
        }
        let prepared = match interface {
            Interface::V1 => linker
                .instantiate_pre(&component)
                .and_then(v1::BindingsPre::new)
                .map_err(|error| mismatch(interface, &error))?,
        };
        let origin = Origin {
            digest: digest.to_owned(),
            interface,
            module_bytes: *module_bytes,
            code_bytes: artifact.code.len(),
            instances: inspection.instances,
            cost: artifact.cost,
        };
        let policy = Policy::new(Arc::clone(&self.shared), prepared, origin);
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

/// Whether a text has the form of [`digest`].
fn is_digest(text: &str) -> bool {
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(lower_hex)
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
