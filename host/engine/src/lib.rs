//! Runs a tenant's policy, and nothing more than the policy.
//!
//! A policy is a WebAssembly component of the world `policy` in `wit/policy.wit`. This crate is a
//! narrow wrapper on wasmtime: it loads a module, checks it, and evaluates requests inside hard
//! limits. It knows nothing of Kubernetes and nothing of AWS, and it never blocks longer than its
//! limits say.
//!
//! ```no_run
//! use ecr_policy_model::Request;
//! use ecr_secret_engine::{Engine, EngineOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::new(EngineOptions::default())?;
//! let policy = engine.load(&std::fs::read("policy.wasm")?)?;
//! let evaluation = policy.evaluate(&Request::default())?;
//! println!("{:?}, {} fuel", evaluation.verdict, evaluation.usage.fuel);
//! # Ok(())
//! # }
//! ```
//!
//! # What a policy cannot do
//! It has no clock but the request's time, no randomness but numbers drawn from the request, no file, no
//! network, no environment, no threads, and no memory of the last call: every evaluation is a new
//! instance. A module that imports anything else is refused by name. So the same module and the
//! same request give the same answer and the same fuel on every machine.
//!
//! A module without imports gets nothing at all, and pays for nothing. One that was built with `std` for
//! `wasm32-wasip2` imports WASI, which `wasmtime-wasi` serves with nothing granted: it can write to
//! a bounded log, and everything else is empty, fixed, or ends the evaluation.
//!
//! # Threads
//! [`Engine::load`] and [`Policy::evaluate`] block the calling thread: for the time of a compilation,
//! and for at most the limits' wall time and the wait for a slot. Call them from a thread that
//! may block (`tokio::task::spawn_blocking`) and that has a stack of 1 MiB or more. On a thread that runs
//! asynchronous tasks they panic when the module uses WASI: `wasmtime-wasi` enters the thread's tokio runtime
//! there, or one that it starts where there is none. A module without imports needs no runtime.
//!
//! # Errors
//! Each error has a stable word, [`LoadError::reason`] or [`EvaluationError::reason`], that goes into a
//! condition, an event and a metric, and a message of one line that tells the tenant what to do.
//! No message has a stack trace, a line break or more than about a kilobyte of the guest's text.

mod bindings;
mod cache;
mod compile;
mod config;
mod disk;
mod engine;
mod error;
mod failure;
mod inspect;
mod limits;
mod module;
mod policy;
mod slots;
mod state;
mod text;
mod ticker;
mod unpack;
mod wasi;

pub use cache::PolicyCache;
pub use compile::{Compilation, CompileCost, compile_role};
pub use config::{Allocation, EngineOptions};
pub use disk::DiskOptions;
pub use engine::Engine;
pub use error::{EngineError, EvaluationError, Found, LoadError};
pub use limits::{Described, Figure, Limits, Unit, Usage};
pub use module::Module;
pub use policy::{Evaluation, Interface, Policy, Run};

use sha2::{Digest, Sha256};

/// The SHA-256 of a module in lower-case hex: the form of [`Policy::digest`] and of a pin in a resource.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
