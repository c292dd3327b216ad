//! `wasi:clocks/monotonic-clock`: a clock that a guest moves by asking for it.
//!
//! wasmtime-wasi takes the instant from a clock of ours too, but it waits on the host's: the thread would
//! sleep as long as the guest likes. So its interface is served here, and a sleep is over at once.

use wasmtime::{
    Result,
    component::{HasData, Resource},
};
use wasmtime_wasi::{
    async_trait,
    p2::{DynPollable, Pollable, bindings::clocks::monotonic_clock::Host, subscribe},
};

use super::context::Wasi;

/// What the functions of the interface work on.
pub(super) struct Monotonic;

impl HasData for Monotonic {
    type Data<'a> = &'a mut Wasi;
}

/// What a guest waits for when it sleeps: nothing.
struct Elapsed;

#[async_trait]
impl Pollable for Elapsed {
    async fn ready(&mut self) {}
}

/// Nanoseconds by which the clock moves when it is read, and so its resolution.
const STEP: u64 = 1_000;

impl Wasi {
    fn elapsed(&mut self) -> Result<Resource<DynPollable>> {
        let elapsed = self.table.push(Elapsed)?;
        subscribe(&mut self.table, elapsed)
    }
}

impl Host for Wasi {
    /// The next instant: a guest that waits for time to pass in a loop does not hang.
    fn now(&mut self) -> Result<u64> {
        self.monotonic = self.monotonic.saturating_add(STEP);
        Ok(self.monotonic)
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(STEP)
    }

    /// Afterwards it is as late as it would have been.
    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        self.monotonic = self.monotonic.max(when);
        self.elapsed()
    }

    fn subscribe_duration(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        self.monotonic = self.monotonic.saturating_add(when);
        self.elapsed()
    }
}
