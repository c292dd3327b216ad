//! What belongs to one evaluation: its limiter and, for a guest that uses it, its WASI.

use ecr_policy_model::Request;
use wasmtime::ResourceLimiter;

use crate::{
    EvaluationError, Limits,
    limits::wide,
    wasi::{Grant, Log, Wasi},
};

/// The data of a store.
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    grant: Grant,
    wasi: Option<Box<Wasi>>,
}

impl State {
    pub(crate) fn new(limits: &Limits, request: &Request) -> Self {
        Self {
            limiter: Limiter::new(limits),
            grant: Grant::new(limits, request),
            wasi: None,
        }
    }

    /// The guest's WASI. The first call makes it, so a guest without imports does not pay for it.
    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        let grant = &self.grant;
        self.wasi.get_or_insert_with(|| Box::new(Wasi::new(grant)))
    }

    /// What the guest wrote.
    pub(crate) fn into_log(self) -> Log {
        self.wasi.map_or_else(Log::default, |wasi| wasi.into_log())
    }
}

/// Counts memory and tables over the whole store; wasmtime's own limits are for each memory by itself.
///
/// A growth beyond a limit ends the guest at once with a typed error. The alternative, to let the growth
/// fail, ends in the guest's own out-of-memory handling, which nobody can tell from other panics.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    table_limit: usize,
    instances: usize,
    memories: usize,
    tables: usize,
    pub(crate) memory_bytes: usize,
    pub(crate) table_elements: usize,
}

impl Limiter {
    fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory_bytes,
            table_limit: limits.table_elements,
            instances: limits.instances,
            memories: limits.memories,
            tables: limits.tables,
            memory_bytes: 0,
            table_elements: 0,
        }
    }
}

/// The sum after one part of it has grown.
fn grown(total: usize, current: usize, desired: usize) -> usize {
    total.saturating_sub(current).saturating_add(desired)
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond its own maximum a memory does not grow anyway, and the guest may ask.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = grown(self.memory_bytes, current, desired);
        if total > self.memory_limit {
            let (needed, limit) = (wide(total), wide(self.memory_limit));
            return Err(EvaluationError::MemoryLimit { needed, limit }.into());
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = grown(self.table_elements, current, desired);
        if total > self.table_limit {
            // A pool's tables have the limit as their maximum, so it is asked first.
            let (needed, limit) = (wide(total), wide(self.table_limit));
            return Err(EvaluationError::TableLimit { needed, limit }.into());
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.memories
    }

    fn tables(&self) -> usize {
        self.tables
    }
}
