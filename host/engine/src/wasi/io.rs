//! `wasi:io` and the standard streams: an input at its end, two outputs that go to the log.
//!
//! Nothing here ever waits: every pollable is ready.

use wasmtime::{
    Result, StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower, Resource},
};

use super::Nothing;
use crate::state::State;

/// `wasi:io/streams.input-stream`. There is one, and it is empty.
pub(super) enum InputStream {}
/// `wasi:io/streams.output-stream`. All lead to the log.
pub(super) enum OutputStream {}
/// `wasi:io/poll.pollable`. It is ready.
pub(super) enum Pollable {}

/// How many bytes a guest is told that it may write at a time.
const WRITE_PERMIT: u64 = 4096;

/// `wasi:io/streams.stream-error`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<Nothing>),
    #[component(name = "closed")]
    Closed,
}

type Context<'a> = StoreContextMut<'a, State>;
type Streamed<T> = Result<(std::result::Result<T, StreamError>,)>;

/// A new pollable. No resource here has data, so all have the same representation.
pub(super) fn pollable() -> Resource<Pollable> {
    Resource::new_own(0)
}

/// Defines `interface`, if it is one of these.
pub(super) fn define(linker: &mut LinkerInstance<'_, State>, interface: &str) -> Result<bool> {
    match interface {
        "wasi:io/poll" => poll(linker)?,
        "wasi:io/streams" => {
            input(linker)?;
            output(linker)?;
        }
        "wasi:cli/stdin" => linker.func_wrap("get-stdin", |_: Context<'_>, (): ()| {
            Ok((Resource::<InputStream>::new_own(0),))
        })?,
        "wasi:cli/stdout" => linker.func_wrap("get-stdout", |_: Context<'_>, (): ()| {
            Ok((Resource::<OutputStream>::new_own(0),))
        })?,
        "wasi:cli/stderr" => linker.func_wrap("get-stderr", |_: Context<'_>, (): ()| {
            Ok((Resource::<OutputStream>::new_own(0),))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn poll(linker: &mut LinkerInstance<'_, State>) -> Result<()> {
    linker.func_wrap(
        "[method]pollable.ready",
        |_: Context<'_>, (_,): (Resource<Pollable>,)| Ok((true,)),
    )?;
    linker.func_wrap(
        "[method]pollable.block",
        |_: Context<'_>, (_,): (Resource<Pollable>,)| Ok(()),
    )?;
    linker.func_wrap(
        "poll",
        |_: Context<'_>, (all,): (Vec<Resource<Pollable>>,)| {
            let ready: Vec<u32> = (0..).take(all.len()).collect();
            Ok((ready,))
        },
    )
}

fn input(linker: &mut LinkerInstance<'_, State>) -> Result<()> {
    for name in [
        "[method]input-stream.read",
        "[method]input-stream.blocking-read",
    ] {
        linker.func_wrap(
            name,
            |_: Context<'_>, _: (Resource<InputStream>, u64)| -> Streamed<Vec<u8>> {
                Ok((Err(StreamError::Closed),))
            },
        )?;
    }
    for name in [
        "[method]input-stream.skip",
        "[method]input-stream.blocking-skip",
    ] {
        linker.func_wrap(
            name,
            |_: Context<'_>, _: (Resource<InputStream>, u64)| -> Streamed<u64> {
                Ok((Err(StreamError::Closed),))
            },
        )?;
    }
    linker.func_wrap(
        "[method]input-stream.subscribe",
        |_: Context<'_>, (_,): (Resource<InputStream>,)| Ok((pollable(),)),
    )
}

fn output(linker: &mut LinkerInstance<'_, State>) -> Result<()> {
    linker.func_wrap(
        "[method]output-stream.check-write",
        |_: Context<'_>, (_,): (Resource<OutputStream>,)| -> Streamed<u64> {
            Ok((Ok(WRITE_PERMIT),))
        },
    )?;
    for name in [
        "[method]output-stream.write",
        "[method]output-stream.blocking-write-and-flush",
    ] {
        linker.func_wrap(
            name,
            |mut store: Context<'_>,
             (_, bytes): (Resource<OutputStream>, Vec<u8>)|
             -> Streamed<()> {
                store.data_mut().log.write(&bytes);
                Ok((Ok(()),))
            },
        )?;
    }
    for name in [
        "[method]output-stream.flush",
        "[method]output-stream.blocking-flush",
    ] {
        linker.func_wrap(
            name,
            |_: Context<'_>, (_,): (Resource<OutputStream>,)| -> Streamed<()> { Ok((Ok(()),)) },
        )?;
    }
    linker.func_wrap(
        "[method]output-stream.subscribe",
        |_: Context<'_>, (_,): (Resource<OutputStream>,)| Ok((pollable(),)),
    )?;
    for name in [
        "[method]output-stream.write-zeroes",
        "[method]output-stream.blocking-write-zeroes-and-flush",
    ] {
        linker.func_wrap(
            name,
            |mut store: Context<'_>, (_, count): (Resource<OutputStream>, u64)| -> Streamed<()> {
                store.data_mut().log.skip(count);
                Ok((Ok(()),))
            },
        )?;
    }
    for name in [
        "[method]output-stream.splice",
        "[method]output-stream.blocking-splice",
    ] {
        linker.func_wrap(
            name,
            |_: Context<'_>,
             _: (Resource<OutputStream>, Resource<InputStream>, u64)|
             -> Streamed<u64> { Ok((Err(StreamError::Closed),)) },
        )?;
    }
    Ok(())
}
