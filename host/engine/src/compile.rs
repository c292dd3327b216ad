//! The one step that turns a module's bytes into machine code.
//!
//! It runs in this process. It is bounded by the module's size alone: Cranelift cannot be interrupted.
//! Everything else in the crate takes the [`Component`] that comes out and does not care where it
//! was compiled.

use wasmtime::{Engine, component::Component};

use crate::{LoadError, text};

/// Compiles a component in the binary format.
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    Component::from_binary(engine, bytes).map_err(|error| LoadError::CompileFailed {
        message: text::one_line(&format!("{error:#}"), text::MESSAGE_BYTES),
    })
}
