//! What a run used of its limits.

use std::time::Duration;

use super::text::{
    COMPILE_CPU, COMPILE_MEMORY, FUEL, HANDLES, INSTANCES, LOG, MEMORY, MODULE, RESULT, STACK,
    TABLE_ELEMENTS, WALL_TIME,
};
use super::{Limits, wide};

/// One limit, and what a run used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name, as an administrator sets it.
    pub name: &'static str,
    /// What was used; none for what cannot be observed, which is the stack and the handles.
    pub used: Option<u64>,
    /// The limit.
    pub limit: u64,
    /// What both numbers count.
    pub unit: Unit,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Micros,
    /// Bytes.
    Bytes,
    /// Pieces.
    Count,
}

/// What one run used of its [`Limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time by the clock. The one number that differs between two runs of the same request.
    pub wall_time: Duration,
    /// Fuel, of [`Limits::fuel`].
    pub fuel: u64,
    /// Bytes of linear memory at the end, which is the most there was: memories do not shrink.
    pub memory_bytes: usize,
    /// Table elements at the end; tables do not shrink either.
    pub table_elements: usize,
    /// Bytes that the guest wrote to its log, with those that were dropped.
    pub log_bytes: u64,
    /// Core instances.
    pub instances: u64,
    /// Bytes of the answer.
    pub result_bytes: usize,
    /// Bytes of the module, unpacked.
    pub module_bytes: usize,
    /// Processor time of the compilation; zero if it was not measured.
    pub compile_cpu: Duration,
    /// Address space of the compilation in bytes; zero if it was not measured.
    pub compile_memory_bytes: u64,
}

impl Usage {
    /// Each limit with what was used of it.
    pub fn figures(&self, limits: &Limits) -> [Figure; 12] {
        use Unit::{Bytes, Count, Micros};
        let figure = |name, used, limit, unit| Figure {
            name,
            used,
            limit,
            unit,
        };
        let measured = |number: u64| (number > 0).then_some(number);
        [
            figure(
                WALL_TIME,
                Some(micros(self.wall_time)),
                micros(limits.wall_time),
                Micros,
            ),
            figure(FUEL, Some(self.fuel), limits.fuel, Count),
            figure(
                MEMORY,
                Some(wide(self.memory_bytes)),
                wide(limits.memory_bytes),
                Bytes,
            ),
            figure(
                TABLE_ELEMENTS,
                Some(wide(self.table_elements)),
                wide(limits.table_elements),
                Count,
            ),
            figure(
                INSTANCES,
                Some(self.instances),
                wide(limits.instances),
                Count,
            ),
            figure(HANDLES, None, wide(limits.handles), Count),
            figure(STACK, None, wide(limits.stack_bytes), Bytes),
            figure(
                RESULT,
                Some(wide(self.result_bytes)),
                wide(limits.result_bytes),
                Bytes,
            ),
            figure(LOG, Some(self.log_bytes), wide(limits.log_bytes), Bytes),
            figure(
                MODULE,
                Some(wide(self.module_bytes)),
                wide(limits.module_bytes),
                Bytes,
            ),
            figure(
                COMPILE_CPU,
                measured(micros(self.compile_cpu)),
                micros(limits.compile_cpu),
                Micros,
            ),
            figure(
                COMPILE_MEMORY,
                measured(self.compile_memory_bytes),
                wide(limits.compile_memory_bytes),
                Bytes,
            ),
        ]
    }
}

/// A duration in whole microseconds.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
