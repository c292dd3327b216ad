//! The rest of WASI that a guest may ask: environment, exit, clocks, random numbers, open directories.

use wasmtime::{
    Result, StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower, Resource},
};

use super::{Nothing, io};
use crate::{EvaluationError, state::State};

/// The most random bytes in one call.
const RANDOM_BYTES: u64 = 4096;

/// `wasi:clocks/wall-clock.datetime`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Context<'a> = StoreContextMut<'a, State>;

/// Defines `interface`, if it is one of these. The others have stubs for all that they have.
pub(super) fn define(linker: &mut LinkerInstance<'_, State>, interface: &str) -> Result<()> {
    match interface {
        "wasi:cli/environment" => environment(linker),
        "wasi:cli/exit" => linker.func_wrap("exit", exit),
        "wasi:cli/terminal-stdin" => linker.func_wrap("get-terminal-stdin", no_terminal),
        "wasi:cli/terminal-stdout" => linker.func_wrap("get-terminal-stdout", no_terminal),
        "wasi:cli/terminal-stderr" => linker.func_wrap("get-terminal-stderr", no_terminal),
        "wasi:clocks/wall-clock" => wall_clock(linker),
        "wasi:clocks/monotonic-clock" => monotonic_clock(linker),
        "wasi:random/random" => {
            linker.func_wrap("get-random-bytes", random_bytes)?;
            linker.func_wrap("get-random-u64", random_u64)
        }
        "wasi:random/insecure" => {
            linker.func_wrap("get-insecure-random-bytes", random_bytes)?;
            linker.func_wrap("get-insecure-random-u64", random_u64)
        }
        "wasi:random/insecure-seed" => {
            linker.func_wrap("insecure-seed", |mut store: Context<'_>, (): ()| {
                let random = &mut store.data_mut().random;
                Ok(((random.next(), random.next()),))
            })
        }
        "wasi:filesystem/preopens" => linker
            .func_wrap("get-directories", |_: Context<'_>, (): ()| {
                Ok((Vec::<(Resource<Nothing>, String)>::new(),))
            }),
        _ => Ok(()),
    }
}

fn environment(linker: &mut LinkerInstance<'_, State>) -> Result<()> {
    linker.func_wrap("get-environment", |_: Context<'_>, (): ()| {
        Ok((Vec::<(String, String)>::new(),))
    })?;
    linker.func_wrap("get-arguments", |_: Context<'_>, (): ()| {
        Ok((Vec::<String>::new(),))
    })?;
    linker.func_wrap("initial-cwd", |_: Context<'_>, (): ()| {
        Ok((None::<String>,))
    })
}

/// The end of the process, which for a policy is a failure whatever the status.
fn exit(_: Context<'_>, (status,): (std::result::Result<(), ()>,)) -> Result<()> {
    let how = if status.is_ok() { "success" } else { "failure" };
    let message = format!("it ended the process with {how} in place of an answer");
    Err(EvaluationError::Trap { message }.into())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature that the linker wants"
)]
fn no_terminal(_: Context<'_>, (): ()) -> Result<(Option<Resource<Nothing>>,)> {
    Ok((None,))
}

fn wall_clock(linker: &mut LinkerInstance<'_, State>) -> Result<()> {
    linker.func_wrap("now", |store: Context<'_>, (): ()| {
        Ok((Datetime {
            seconds: store.data().clock.now,
            nanoseconds: 0,
        },))
    })?;
    linker.func_wrap("resolution", |_: Context<'_>, (): ()| {
        Ok((Datetime {
            seconds: 1,
            nanoseconds: 0,
        },))
    })
}

/// A sleep is over at once, and afterwards it is later by what it would have taken.
fn monotonic_clock(linker: &mut LinkerInstance<'_, State>) -> Result<()> {
    linker.func_wrap("now", |mut store: Context<'_>, (): ()| {
        Ok((store.data_mut().clock.tick(),))
    })?;
    linker.func_wrap("resolution", |_: Context<'_>, (): ()| Ok((1_000_u64,)))?;
    linker.func_wrap(
        "subscribe-instant",
        |mut store: Context<'_>, (instant,): (u64,)| {
            store.data_mut().clock.advance_to(instant);
            Ok((io::pollable(),))
        },
    )?;
    linker.func_wrap(
        "subscribe-duration",
        |mut store: Context<'_>, (duration,): (u64,)| {
            store.data_mut().clock.advance(duration);
            Ok((io::pollable(),))
        },
    )
}

fn random_bytes(mut store: Context<'_>, (count,): (u64,)) -> Result<(Vec<u8>,)> {
    match usize::try_from(count) {
        Ok(wanted) if count <= RANDOM_BYTES => Ok((store.data_mut().random.bytes(wanted),)),
        _ => {
            let message =
                format!("it asks for {count} random bytes at once, and may for {RANDOM_BYTES}");
            Err(EvaluationError::Trap { message }.into())
        }
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature that the linker wants"
)]
fn random_u64(mut store: Context<'_>, (): ()) -> Result<(u64,)> {
    Ok((store.data_mut().random.next(),))
}
