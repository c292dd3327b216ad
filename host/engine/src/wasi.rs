//! WASI 0.2 for guests that were built with `std`, with nothing granted.
//!
//! A guest for `wasm32-wasip2` imports WASI whether it uses it or not. `wasmtime-wasi` serves it, set up so
//! that nothing of the machine is in reach: an empty environment, an input at its end, outputs that go to the
//! bounded log, a clock that stands at the request's time, and random numbers that follow from the request.
//! Only the interfaces of the list here are linked, so sockets and HTTP do not exist.
//!
//! Three things are not `wasmtime-wasi`'s, because its own would not keep what a policy promises:
//! - the outputs: its pipe fails when it is full, and its stream over an asynchronous writer buffers without
//!   a bound on the host (GHSA-5m8g-xhq4-4h93). See [`output`].
//! - the monotonic clock: its pollables sleep on the host's clock, where no fuel and no epoch ends them. See
//!   [`clock`].
//! - `wasi:filesystem/types`: every function in it ends the evaluation with its name. A guest's C library
//!   imports it, and without an open directory it has nothing to call it with.

mod clock;
mod context;
mod output;
mod random;

pub(crate) use context::{Grant, Wasi};
pub(crate) use output::Log;

use wasmtime::{
    Engine, Result,
    component::{
        Component, HasData, Linker, LinkerInstance, ResourceTable, ResourceType,
        types::ComponentItem,
    },
};
use wasmtime_wasi::{
    cli::{WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::{
        DynInputStream, DynOutputStream, IoError,
        bindings::{
            cli, clocks,
            filesystem::{preopens, types::Descriptor, types::DirectoryEntryStream},
            random as numbers,
            sync::io::{poll, streams},
        },
    },
    random::{WasiRandom, WasiRandomView},
};
use wasmtime_wasi_io::bindings::wasi::io::error;

use crate::{EvaluationError, state::State};

/// The interfaces that a guest may import, in any version 0.2.x.
const ALLOWED: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    // The C library of a guest asks for the open directories as it starts, and is told that there are none.
    "wasi:filesystem/preopens",
    FILES,
];

/// The one interface of the list that is only there to be imported.
const FILES: &str = "wasi:filesystem/types";

/// Whether a guest may import `name`, for instance `wasi:io/streams@0.2.6`.
pub(crate) fn is_allowed(name: &str) -> bool {
    name.split_once('@').is_some_and(|(interface, version)| {
        version.starts_with("0.2.") && ALLOWED.contains(&interface)
    })
}

/// What the functions of `wasi:io` work on.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Defines the interfaces of the list. wasmtime finds them for an import of any version 0.2.x.
pub(crate) fn link(
    engine: &Engine,
    linker: &mut Linker<State>,
    component: &Component,
) -> Result<()> {
    let l = linker;
    error::add_to_linker::<State, Io>(l, |state| state.wasi().table())?;
    poll::add_to_linker::<State, Io>(l, |state| state.wasi().table())?;
    streams::add_to_linker::<State, Io>(l, |state| state.wasi().table())?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, clock::Monotonic>(l, State::wasi)?;
    numbers::random::add_to_linker::<State, WasiRandom>(l, State::random)?;
    numbers::insecure::add_to_linker::<State, WasiRandom>(l, State::random)?;
    numbers::insecure_seed::add_to_linker::<State, WasiRandom>(l, State::random)?;
    preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    refuse_files(engine, l, component)
}

/// Defines what `component` imports of [`FILES`], so that it can be linked but not called.
fn refuse_files(engine: &Engine, linker: &mut Linker<State>, component: &Component) -> Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let interface = name.split_once('@').map(|(interface, _)| interface);
        let ComponentItem::ComponentInstance(import) = import.ty else {
            continue;
        };
        if interface == Some(FILES) {
            let mut instance = linker.instance(name)?;
            for (item, export) in import.exports(engine) {
                refuse(&mut instance, name, item, &export.ty)?;
            }
        }
    }
    Ok(())
}

/// Defines a function that ends the evaluation, or the resource that wasmtime-wasi has under this name.
fn refuse(
    linker: &mut LinkerInstance<'_, State>,
    interface: &str,
    item: &str,
    ty: &ComponentItem,
) -> Result<()> {
    match ty {
        ComponentItem::ComponentFunc(_) => {
            let message = format!("it calls `{interface}#{item}`, which a policy does not have");
            linker.func_new(item, move |_, _, _, _| {
                Err(EvaluationError::Trap {
                    message: message.clone(),
                }
                .into())
            })
        }
        // No guest ever gets a handle of the first two, and the others are dropped where they are made.
        ComponentItem::Resource(_) => {
            let resource = match item {
                "descriptor" => ResourceType::host::<Descriptor>(),
                "directory-entry-stream" => ResourceType::host::<DirectoryEntryStream>(),
                "input-stream" => ResourceType::host::<DynInputStream>(),
                "output-stream" => ResourceType::host::<DynOutputStream>(),
                _ => ResourceType::host::<IoError>(),
            };
            linker.resource(item, resource, |_, _| Ok(()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_interfaces_of_wasi_0_2_are_allowed() {
        for name in [
            "wasi:io/streams@0.2.0",
            "wasi:cli/stderr@0.2.6",
            "wasi:random/random@0.2.12",
        ] {
            assert!(is_allowed(name), "{name}");
        }
        for name in [
            "wasi:io/streams",
            "wasi:io/streams@0.3.0",
            "wasi:io/streams@0.20.0",
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:io@0.2.6",
            "evil:io/streams@0.2.6",
        ] {
            assert!(!is_allowed(name), "{name}");
        }
    }
}
