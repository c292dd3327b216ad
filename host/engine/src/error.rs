//! Why an engine does not start, a module is not taken, and an evaluation does not answer.

use std::time::Duration;

/// Why an engine does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A text that should set limits cannot be understood.
    #[error("limits: {message}")]
    Limits {
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A limit is so small that no policy could run.
    #[error("the limit `{limit}` is {value}, and has to be at least {bound}")]
    LimitTooSmall {
        /// The name of the limit and, where it is not plain, its unit.
        limit: &'static str,
        /// What was asked for.
        value: u64,
        /// The smallest number that is possible.
        bound: u64,
    },
    /// A limit is so large that the host could not keep it.
    #[error("the limit `{limit}` is {value}, and may be at most {bound}")]
    LimitTooLarge {
        /// The name of the limit and, where it is not plain, its unit.
        limit: &'static str,
        /// What was asked for.
        value: u64,
        /// The largest number that is possible.
        bound: u64,
    },
    /// wasmtime does not accept the configuration on this machine.
    #[error("the WebAssembly engine does not start on this machine: {message}")]
    Start {
        /// What wasmtime says, in one line.
        message: String,
    },
    /// The thread that watches the time could not be started.
    #[error(
        "no thread for the policies' time limit could be started: {message}; raise the limit on processes"
    )]
    Ticker {
        /// What the system says.
        message: String,
    },
}

/// What was found where a component was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// No bytes at all.
    Empty,
    /// A core module, as compilers for `wasm32-unknown-unknown` and `wasm32-wasip1` make them.
    CoreModule,
    /// The text format of WebAssembly.
    Text,
    /// A zip archive.
    Archive,
    /// Something else.
    Other,
}

impl Found {
    /// What it is, and how to make a component of it.
    const fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "it is empty; upload the file of the built policy under this key",
            Self::CoreModule => {
                "it is a core module; build it for the target wasm32-wasip2, or convert it with `wasm-tools component new`"
            }
            Self::Text => "it is in the text format; convert it with `wasm-tools parse`",
            Self::Archive => {
                "it is a zip archive; upload the .wasm file itself, or compress it with gzip or zstd"
            }
            Self::Other => {
                "it is not WebAssembly; upload the .wasm file of the built policy as binaryData"
            }
        }
    }
}

/// Why a module is not taken. The module's author, not the host, has to change something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is too large.
    #[error(
        "the module has {bytes} bytes, and may have {limit}; build it in release mode with opt-level \"z\", LTO and strip"
    )]
    ModuleTooLarge {
        /// The size of the module in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The file is not a component.
    #[error("the module is not a WebAssembly component: {}", found.remedy())]
    NotAComponent {
        /// What it is instead.
        found: Found,
    },
    /// The module imports something that no policy gets.
    #[error(
        "the module imports `{name}`, which a policy does not get; remove what uses it, a policy answers from its request alone"
    )]
    ImportDenied {
        /// The name of the import.
        name: String,
    },
    /// The module does not have the interface of a policy, or has another version of it.
    #[error(
        "the module does not fit the interface: expected {expected}, found {found}; build it against this version of the interface"
    )]
    InterfaceMismatch {
        /// What the host can call.
        expected: String,
        /// What the module has instead.
        found: String,
    },
    /// The module starts with more memory than it may have.
    #[error(
        "the module starts with {needed} bytes of memory, and may have {limit}; make its static data, stack or heap smaller"
    )]
    MemoryLimit {
        /// Bytes that all memories of the module have at the start.
        needed: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The module starts with larger tables than it may have.
    #[error(
        "the module starts with {needed} table elements, and may have {limit}; use fewer functions by reference"
    )]
    TableLimit {
        /// Elements that all tables of the module have at the start.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The module has more parts than it may have.
    #[error(
        "the module has {needed} {parts}, and may have {limit}; build the policy as one component of one module"
    )]
    InstanceLimit {
        /// What there are too many of.
        parts: &'static str,
        /// How many there are.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The module is damaged, or uses a proposal that is switched off.
    #[error(
        "the module does not compile: {message}; upload it again, and build it without experimental WebAssembly features"
    )]
    CompileFailed {
        /// What the compiler says, in one line.
        message: String,
    },
    /// The file is compressed and does not unpack to a module.
    #[error("the module cannot be unpacked: {message}; compress it again with gzip or zstd")]
    CannotUnpack {
        /// What is wrong, in one line.
        message: String,
    },
    /// The compiler was ended because the module took too much of something.
    #[error(
        "the module needs more {what} to compile than the {limit} that it may have; make its functions smaller and fewer"
    )]
    CompileLimit {
        /// What it took too much of.
        what: &'static str,
        /// The limit with its unit.
        limit: String,
    },
    /// There was no compiler. Nothing is wrong with the module.
    #[error("the compiler did not run: {message}; it is tried again, see the operator's log")]
    CompilerUnavailable {
        /// Why, in one line.
        message: String,
    },
    /// The engine had no slot to try the module in. Nothing is wrong with the module.
    #[error("all places to evaluate were taken for {} s; it is tried again", waited.as_secs())]
    Busy {
        /// How long it waited.
        waited: Duration,
    },
}

impl LoadError {
    /// The stable word for conditions, events and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ModuleTooLarge { .. } => "ModuleTooLarge",
            Self::NotAComponent { .. } => "NotAComponent",
            Self::ImportDenied { .. } => "ImportDenied",
            Self::InterfaceMismatch { .. } => "InterfaceMismatch",
            Self::MemoryLimit { .. } => "MemoryLimit",
            Self::TableLimit { .. } => "TableLimit",
            Self::InstanceLimit { .. } => "InstanceLimit",
            Self::CompileFailed { .. } => "CompileFailed",
            Self::CannotUnpack { .. } => "CannotUnpack",
            Self::CompileLimit { .. } => "CompileLimit",
            Self::CompilerUnavailable { .. } => "CompilerUnavailable",
            Self::Busy { .. } => "Busy",
        }
    }

    /// Whether the same bytes can succeed later: true only when the fault was the host's.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::CompilerUnavailable { .. })
    }
}

/// Why an evaluation gives no answer. A refusal is an answer, and not among these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// It took too long by the clock.
    #[error("the policy ran longer than {} ms; let it do less in one call", limit.as_millis())]
    DeadlineExceeded {
        /// The limit.
        limit: Duration,
    },
    /// It executed too many instructions.
    #[error(
        "the policy used up its {limit} units of fuel; look for a loop that does not end, or let it do less in one call"
    )]
    FuelExhausted {
        /// The limit.
        limit: u64,
    },
    /// It wanted too much memory.
    #[error(
        "the policy wants {needed} bytes of memory, and may have {limit}; let it keep less at a time"
    )]
    MemoryLimit {
        /// Bytes over all memories with the growth that was refused.
        needed: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// It wanted too many table elements.
    #[error(
        "the policy wants {needed} table elements, and may have {limit}; let it use fewer functions by reference"
    )]
    TableLimit {
        /// Elements over all tables with the growth that was refused.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// It made too many instances, memories or tables.
    #[error("the policy has too many parts ({message}); build it as one component of one module")]
    InstanceLimit {
        /// Which, in one line.
        message: String,
    },
    /// It held too many resource handles at a time.
    #[error(
        "the policy holds more than {limit} resource handles at a time; drop streams and pollables after use"
    )]
    HandleLimit {
        /// The limit.
        limit: usize,
    },
    /// Its calls went too deep.
    #[error(
        "the policy used up its stack of {limit} bytes; look for a recursion that does not end"
    )]
    StackExhausted {
        /// The limit in bytes.
        limit: usize,
    },
    /// Its answer was too large.
    #[error(
        "the policy's answer is larger than {limit} bytes; let it return fewer or shorter names, labels and messages"
    )]
    ResultTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Its answer breaks the rules of the interface, for instance by text that is not UTF-8.
    #[error(
        "the policy's answer cannot be read: {message}; build it with the SDK or a current binding generator"
    )]
    InvalidResult {
        /// Which rule, in one line.
        message: String,
    },
    /// It stopped itself, by a panic or by a mistake such as an access out of bounds.
    #[error("the policy stopped: {message}; try the request on your machine")]
    Trap {
        /// The guest's panic message where there is one, or the kind of the trap. One line, at most 1 KiB.
        message: String,
    },
    /// The module could not be connected to the host.
    #[error(
        "the policy cannot be linked: {message}; build it against this version of the interface"
    )]
    LinkFailed {
        /// What does not fit, in one line.
        message: String,
    },
    /// The engine had no slot for too long. Nothing is wrong with the policy.
    #[error("all places to evaluate were taken for {} s; it is tried again", waited.as_secs())]
    Busy {
        /// How long it waited.
        waited: Duration,
    },
}

impl EvaluationError {
    /// The stable word for conditions, events and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::DeadlineExceeded { .. } => "DeadlineExceeded",
            Self::FuelExhausted { .. } => "FuelExhausted",
            Self::MemoryLimit { .. } => "MemoryLimit",
            Self::TableLimit { .. } => "TableLimit",
            Self::InstanceLimit { .. } => "InstanceLimit",
            Self::HandleLimit { .. } => "HandleLimit",
            Self::StackExhausted { .. } => "StackExhausted",
            Self::ResultTooLarge { .. } => "ResultTooLarge",
            Self::InvalidResult { .. } => "InvalidResult",
            Self::Trap { .. } => "Trap",
            Self::LinkFailed { .. } => "LinkFailed",
            Self::Busy { .. } => "Busy",
        }
    }

    /// Whether the same request can succeed later without a change of the module: when the host was busy,
    /// and when time ran out, which also depends on the machine.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::DeadlineExceeded { .. })
    }
}
