//! WASI 0.2 for guests that were built with `std`, with nothing granted.
//!
//! A guest for `wasm32-wasip2` imports WASI whether it uses it or not. What it gets here is not the machine's:
//! an empty environment, an input at its end, outputs that go to the bounded log, a clock that stands at the
//! request's time, and random numbers that follow from the request. There is no file system, no socket and no
//! way to wait. Every other function of a permitted interface ends the evaluation with its name.
//!
//! This is not `wasmtime-wasi`, which serves real files and sockets on an async runtime: what a policy gets
//! has to be deterministic, synchronous and bounded, and there is less to trust if the rest does not exist.

mod io;
mod system;

use wasmtime::{
    Engine, Result,
    component::{Component, Linker, LinkerInstance, ResourceType, types::ComponentItem},
};

use crate::{EvaluationError, state::State};

/// A resource of which no guest ever gets a handle.
pub(crate) enum Nothing {}

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
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
];

/// Whether a guest may import `name`, for instance `wasi:io/streams@0.2.6`.
pub(crate) fn is_allowed(name: &str) -> bool {
    name.split_once('@').is_some_and(|(interface, version)| {
        version.starts_with("0.2.") && ALLOWED.contains(&interface)
    })
}

/// Defines what `component` imports of the interfaces `names`, under exactly the names that it uses.
pub(crate) fn link(
    engine: &Engine,
    linker: &mut Linker<State>,
    component: &Component,
    names: &[String],
) -> Result<()> {
    // A definition replaces the stub of the same name.
    linker.allow_shadowing(true);
    let component = component.component_type();
    for (name, import) in component.imports(engine) {
        if !names.iter().any(|allowed| allowed == name) {
            continue;
        }
        let mut instance = linker.instance(name)?;
        if let ComponentItem::ComponentInstance(import) = import.ty {
            for (item, export) in import.exports(engine) {
                stub(&mut instance, name, item, &export.ty)?;
            }
        }
        let interface = name
            .split_once('@')
            .map_or(name, |(interface, _)| interface);
        if !io::define(&mut instance, interface)? {
            system::define(&mut instance, interface)?;
        }
    }
    Ok(())
}

/// The resource of a name. An interface that uses a resource of another one repeats it as its own, so
/// the name alone has to tell. None of them has data that a destructor would have to drop.
fn resource(name: &str) -> ResourceType {
    match name {
        "pollable" => ResourceType::host::<io::Pollable>(),
        "input-stream" => ResourceType::host::<io::InputStream>(),
        "output-stream" => ResourceType::host::<io::OutputStream>(),
        _ => ResourceType::host::<Nothing>(),
    }
}

/// A resource, or a function that ends the evaluation.
fn stub(
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
        ComponentItem::Resource(_) => linker.resource(item, resource(item), |_, _| Ok(())),
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
