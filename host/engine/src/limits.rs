//! The numbers that bound a policy, and the numbers that one run used.

mod text;
mod usage;

use std::time::Duration;

use crate::EngineError;
pub use text::Described;
pub use usage::{Figure, Unit, Usage};

/// What one policy module and one evaluation may use.
///
/// The defaults are some hundred times what a reasonable policy needs, and small enough that a
/// hostile one is not felt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long one evaluation may take by the clock, from the new instance to the answer.
    ///
    /// Default 250 ms. Fuel is what normally ends a loop; the clock is for instructions that do
    /// much work for little fuel. It is generous because a container that has used up its CPU quota
    /// stands still for up to 100 ms at a time, for which a policy must not be blamed.
    pub wall_time: Duration,
    /// Fuel of one evaluation: about one unit for an executed instruction. Default 20,000,000.
    pub fuel: u64,
    /// Bytes of linear memory, summed over all memories of a module. Default 16 MiB.
    pub memory_bytes: usize,
    /// Table elements, summed over all tables of a module. Default 10,000.
    pub table_elements: usize,
    /// Core instances of one module. A guest that was built for `wasm32-wasip2` has three or four. Default 16.
    pub instances: usize,
    /// Linear memories of one module. Default 4.
    pub memories: usize,
    /// Tables of one module. Default 8.
    pub tables: usize,
    /// Resource handles that live at the same time. Only a guest that imports WASI has any. Default 64.
    pub handles: usize,
    /// Bytes of the stack that a guest's calls may use. Default 256 KiB.
    pub stack_bytes: usize,
    /// Bytes that the host takes over from the guest in one answer, as they lie in the host's memory.
    /// Default 256 KiB.
    pub result_bytes: usize,
    /// Bytes kept of what a guest writes to standard output and standard error, where panic messages go.
    /// What is beyond is dropped: a talkative policy is not a failing one. Default 4 KiB.
    pub log_bytes: usize,
    /// Bytes of the module, unpacked if it came compressed. Default 4 MiB.
    pub module_bytes: usize,
    /// Processor time of one compilation, in whole seconds. Default 5 s; a usual policy takes 50 ms.
    pub compile_cpu: Duration,
    /// Address space of one compilation in bytes. Default 256 MiB; a usual policy takes 10 MiB.
    pub compile_memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_time: Duration::from_millis(250),
            fuel: 20_000_000,
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            instances: 16,
            memories: 4,
            tables: 8,
            handles: 64,
            stack_bytes: 256 << 10,
            result_bytes: 256 << 10,
            log_bytes: 4 << 10,
            module_bytes: 4 << 20,
            compile_cpu: Duration::from_secs(5),
            compile_memory_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// Refuses numbers with which no policy could run, or which the host could not keep.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let smallest: [(&'static str, u64, u64); 11] = [
            ("wall_time in ms", millis(self.wall_time), 10),
            ("fuel", self.fuel, 1),
            ("memory_bytes", wide(self.memory_bytes), 64 << 10),
            ("instances", wide(self.instances), 1),
            ("memories", wide(self.memories), 1),
            ("tables", wide(self.tables), 1),
            ("stack_bytes", wide(self.stack_bytes), 16 << 10),
            ("result_bytes", wide(self.result_bytes), 1 << 10),
            ("module_bytes", wide(self.module_bytes), 1),
            ("compile_cpu in s", self.compile_cpu.as_secs(), 1),
            (
                "compile_memory_bytes",
                wide(self.compile_memory_bytes),
                16 << 20,
            ),
        ];
        let largest: [(&'static str, u64, u64); 9] = [
            ("wall_time in ms", millis(self.wall_time), 60_000),
            ("memory_bytes", wide(self.memory_bytes), 1 << 30),
            ("table_elements", wide(self.table_elements), 1_000_000),
            ("instances", wide(self.instances), 256),
            ("memories", wide(self.memories), 64),
            ("tables", wide(self.tables), 64),
            // The thread that evaluates has to have room for it.
            ("stack_bytes", wide(self.stack_bytes), 512 << 10),
            ("module_bytes", wide(self.module_bytes), 256 << 20),
            ("compile_cpu in s", self.compile_cpu.as_secs(), 600),
        ];
        for (limit, value, bound) in smallest {
            if value < bound {
                return Err(EngineError::LimitTooSmall {
                    limit,
                    value,
                    bound,
                });
            }
        }
        for (limit, value, bound) in largest {
            if value > bound {
                return Err(EngineError::LimitTooLarge {
                    limit,
                    value,
                    bound,
                });
            }
        }
        Ok(())
    }
}

/// A size as a number to compare and to print.
pub(crate) fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A duration in whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Limits::default().check().unwrap();
    }

    #[test]
    fn a_limit_with_which_nothing_runs_is_refused_by_name() {
        let limits = Limits {
            fuel: 0,
            ..Limits::default()
        };
        let error = limits.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the limit `fuel` is 0, and has to be at least 1"
        );
    }

    #[test]
    fn a_stack_that_the_host_does_not_have_is_refused() {
        let limits = Limits {
            stack_bytes: 64 << 20,
            ..Limits::default()
        };
        assert!(matches!(
            limits.check(),
            Err(EngineError::LimitTooLarge {
                limit: "stack_bytes",
                ..
            })
        ));
    }
}
