//! The one step that turns a module's bytes into machine code, and where it is done.
//!
//! Cranelift cannot be interrupted, and what a module makes of its time and memory nobody can tell before. So a
//! host that takes modules from strangers compiles in a child process, which has limits of its own and is
//! killed when it is over them; see [`child`]. Whatever the compiler keeps or leaks ends with the child.

mod child;
mod parent;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use wasmtime::{Engine, component::Component};

use crate::{Limits, LoadError, text};
pub use child::compile_role;
use parent::header;
pub(crate) use parent::number;

/// Where modules are compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compilation {
    /// In this process, without limits: for whoever compiles only what is their own.
    #[default]
    InProcess,
    /// In a child process for each module.
    Isolated {
        /// A program that calls [`compile_role`] first thing, usually the running one.
        program: PathBuf,
    },
}

impl Compilation {
    /// In a child process that runs the program of this one.
    ///
    /// # Errors
    /// The system does not tell which program this is.
    pub fn isolated() -> std::io::Result<Self> {
        std::env::current_exe().map(|program| Self::Isolated { program })
    }
}

/// What a compilation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompileCost {
    /// Time of the processor. Zero where it was not measured, as in this process.
    pub cpu: Duration,
    /// Address space in bytes, over that of the idle child. Zero where it was not measured.
    pub memory_bytes: u64,
}

/// Machine code, as it goes between processes and to the disk.
pub(crate) struct Artifact {
    pub(crate) code: Vec<u8>,
    pub(crate) cost: CompileCost,
}

/// Compiles a component in the binary format.
pub(crate) fn compile(
    engine: &Engine,
    how: &Compilation,
    limits: &Limits,
    bytes: &[u8],
) -> Result<Artifact, LoadError> {
    match how {
        Compilation::InProcess => Ok(Artifact {
            code: precompile(engine, bytes)
                .map_err(|message| LoadError::CompileFailed { message })?,
            cost: CompileCost::default(),
        }),
        Compilation::Isolated { program } => parent::compile(program, limits, bytes),
    }
}

/// The machine code, or what the compiler says in one line.
fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, String> {
    engine
        .precompile_component(bytes)
        .map_err(|error| text::one_line(&format!("{error:#}"), text::MESSAGE_BYTES))
}

/// Makes a component of machine code, which has to be what [`compile`] gave, here or before a restart.
///
/// # Errors
/// The code is for another engine, or is damaged in a way that shows.
#[expect(
    unsafe_code,
    reason = "the one place where machine code that was made elsewhere is trusted"
)]
pub(crate) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // Sound, because `code` is the output of `precompile_component` of this program in one of two ways. It comes from a
    // child that we started ourselves, over a pipe that nobody else holds. Or it comes from a file that only this
    // user can write, with a checksum over it, the module and the engine (see `disk`). A tenant's bytes never
    // get here without having gone through the compiler.
    unsafe { Component::deserialize(engine, code) }
}

/// The first argument of a program that shall only compile; [`compile_role`] answers to it.
const ROLE: &str = "compile-policy";

/// The arguments with which a child is started.
fn arguments(limits: &Limits) -> Vec<OsString> {
    [
        ROLE.to_owned(),
        limits.stack_bytes.to_string(),
        limits.compile_cpu.as_secs().max(1).to_string(),
        limits.compile_memory_bytes.to_string(),
        limits.module_bytes.to_string(),
    ]
    .map(OsString::from)
    .to_vec()
}
