//! How wasmtime is set up: what a guest's code may be, and where its memory comes from.

use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    Strategy,
};

use crate::{Compilation, DiskOptions, EngineError, Limits, text};

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// What each policy may use.
    pub limits: Limits,
    /// How many evaluations run at a time; a caller beyond that waits. At least 1; default 16.
    ///
    /// It bounds what all policies together hold: this many times [`Limits::memory_bytes`].
    pub max_concurrent: usize,
    /// How long a caller waits for its turn before it gets `Busy`. Default 10 s.
    pub max_wait: Duration,
    /// Where the memory of instances comes from.
    pub allocation: Allocation,
    /// Where modules are compiled.
    pub compilation: Compilation,
    /// Where machine code is kept over a restart; nowhere by default.
    pub disk: Option<DiskOptions>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_concurrent: 16,
            max_wait: Duration::from_secs(10),
            allocation: Allocation::Auto,
            compilation: Compilation::InProcess,
            disk: None,
        }
    }
}

/// Where the memory of instances comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool that is reserved at the start, which makes a new instance cheap. The pool takes
    /// some 4 GiB of address space for every memory, though no memory; where a machine does not give
    /// that, as [`Allocation::OnDemand`].
    #[default]
    Auto,
    /// Mapped for each instance: slower, and needs next to no address space.
    OnDemand,
}

/// Starts wasmtime. Tells also whether instances come from a pool.
pub(crate) fn start(options: &EngineOptions) -> Result<(Engine, bool), EngineError> {
    if options.allocation == Allocation::Auto {
        let mut config = base(&options.limits);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options)));
        match Engine::new(&config) {
            Ok(engine) => return Ok((engine, true)),
            // The usual cause is a limit on address space. The policies run all the same.
            Err(error) => {
                let message = text::one_line(&format!("{error:#}"), text::MESSAGE_BYTES);
                tracing::info!(%message, "no pool for policy instances, they are mapped on demand");
            }
        }
    }
    let mut config = base(&options.limits);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let engine = Engine::new(&config).map_err(|error| EngineError::Start {
        message: text::one_line(&format!("{error:#}"), text::MESSAGE_BYTES),
    })?;
    Ok((engine, false))
}

/// An engine that only compiles. Its code runs on every engine of the same limits, see [`base`].
pub(crate) fn compiler(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut config = base(limits);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config)
}

/// What a guest's code may be. The same for both strategies, so that code does not depend on them.
fn base(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        // Both bounds: fuel is exact and the same on every machine, the epoch ends what fuel undercounts.
        .consume_fuel(true)
        .epoch_interruption(true)
        // The same bits on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Off is what no policy needs. wasmtime has all of these on by default, memory64 too.
        .wasm_relaxed_simd(false)
        .wasm_simd(false)
        .wasm_threads(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .concurrency_support(false)
        .max_wasm_stack(limits.stack_bytes)
        // No message shows a stack, so none is walked.
        .wasm_backtrace_max_frames(None)
        // A guest's static data is copied into its memory, some KiB of it. The other way is to map an image, which is as
        // fast for one policy, and takes twice as long when many take turns: each time the map is another one.
        .memory_init_cow(false);
    config
}

/// A pool in which `max_concurrent` of the largest permitted components fit at a time. The limits on a
/// single component are the business of `inspect` and the store's limiter, which have better words.
fn pool(options: &EngineOptions) -> PoolingAllocationConfig {
    let limits = &options.limits;
    let times = |each: usize| {
        u32::try_from(options.max_concurrent.saturating_mul(each)).unwrap_or(u32::MAX)
    };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(times(1))
        .total_core_instances(times(limits.instances))
        .total_memories(times(limits.memories))
        .total_tables(times(limits.tables))
        .total_gc_heaps(times(1))
        // No call is asynchronous, so none gets a stack of its own. The default reserves 1000 of them.
        .total_stacks(0)
        .max_memories_per_module(1)
        .max_tables_per_module(count(limits.tables))
        .table_elements(limits.table_elements)
        // Scans for the pages that a guest has touched, and keeps them mapped for the next one. Without the scan
        // (Linux before 6.7) it would keep the lowest pages, where Rust's guests have the unused end of
        // their stack: then it is better to keep none.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(if scan { 256 << 10 } else { 0 })
        .table_keep_resident(16 << 10)
        .max_unused_warm_slots(times(1));
    pool
}
