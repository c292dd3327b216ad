//! Sets wasmtime-wasi up with nothing granted, for one evaluation.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ecr_policy_model::Request;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::{
    output::{Log, Output},
    random::Random,
};
use crate::{Limits, state::State};

/// The most random bytes in one call. wasmtime-wasi makes them at once, outside the guest's limits.
const RANDOM_BYTES: u64 = 4096;

/// What a guest's WASI is made from. Cheap, since a guest without imports has it too.
pub(crate) struct Grant {
    now: u64,
    seed: u64,
    log_bytes: usize,
}

impl Grant {
    pub(crate) fn new(limits: &Limits, request: &Request) -> Self {
        Self {
            now: request.now,
            seed: super::random::seed(request),
            log_bytes: limits.log_bytes,
        }
    }
}

/// The WASI of one evaluation.
///
/// The host's tables in it need no limit of their own: what is in them hangs on the guest's handles, which
/// the store counts.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    pub(super) table: ResourceTable,
    log: Arc<Mutex<Log>>,
    /// Nanoseconds since the start of the evaluation.
    pub(super) monotonic: u64,
}

impl Wasi {
    pub(crate) fn new(grant: &Grant) -> Self {
        let log = Arc::new(Mutex::new(Log::new(grant.log_bytes)));
        let output = Output(Arc::clone(&log));
        let mut random = Random(grant.seed);
        // The builder's defaults are the host's clocks and the host's randomness; of all else it grants
        // nothing, which is written down here all the same.
        let ctx = WasiCtxBuilder::new()
            .wall_clock(WallClock(grant.now))
            .secure_random(random.split())
            .insecure_random(random.split())
            .insecure_random_seed(random.wide())
            .max_random_size(RANDOM_BYTES)
            .stdin(std::io::empty())
            .stdout(output.clone())
            .stderr(output)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        Self {
            ctx,
            table: ResourceTable::new(),
            log,
            monotonic: 0,
        }
    }

    pub(super) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    pub(crate) fn into_log(self) -> Log {
        // The streams in the tables hold the log too, so it is taken out and not unwrapped.
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView {
            ctx: &mut wasi.ctx,
            table: &mut wasi.table,
        }
    }
}

/// A clock that stands at the request's time, in seconds since the Unix epoch.
struct WallClock(u64);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}
