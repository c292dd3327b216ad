//! The numbers that bound a policy, and the numbers that one run used.

use std::{str::FromStr, time::Duration};

use crate::EngineError;

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

/// The limits as text: `fuel=1000000,memory=32Mi,wall-time=500ms`. What is not named has its default.
///
/// The names are those of [`Figure::name`]. Sizes may end in `Ki`, `Mi` or `Gi`, times end in `ms` or `s`.
impl FromStr for Limits {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let mut limits = Self::default();
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            limits
                .set(name.trim(), value.trim())
                .map_err(|message| EngineError::Limits { message })?;
        }
        limits.check()?;
        Ok(limits)
    }
}

impl Limits {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let not = |what: &str| format!("{value:?} is not {what} for {name}");
        let count = || value.parse::<u64>().map_err(|_| not("a number"));
        let bytes = || {
            let (digits, shift) = [("Ki", 10), ("Mi", 20), ("Gi", 30)]
                .into_iter()
                .find_map(|(unit, shift)| Some((value.strip_suffix(unit)?, shift)))
                .unwrap_or((value, 0));
            let number: Option<usize> = digits.parse().ok();
            number
                .and_then(|number| number.checked_mul(1 << shift))
                .ok_or_else(|| not("a size such as 512Ki or 16Mi"))
        };
        let time = || {
            let (digits, from): (_, fn(u64) -> Duration) = match value.strip_suffix("ms") {
                Some(digits) => (digits, Duration::from_millis),
                None => (
                    value.strip_suffix('s').unwrap_or_default(),
                    Duration::from_secs,
                ),
            };
            let number = digits
                .parse()
                .map_err(|_| not("a time such as 250ms or 5s"));
            number.map(from)
        };
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        match name {
            WALL_TIME => self.wall_time = time()?,
            FUEL => self.fuel = count()?,
            MEMORY => self.memory_bytes = bytes()?,
            TABLE_ELEMENTS => self.table_elements = size(count()?),
            INSTANCES => self.instances = size(count()?),
            HANDLES => self.handles = size(count()?),
            STACK => self.stack_bytes = bytes()?,
            RESULT => self.result_bytes = bytes()?,
            LOG => self.log_bytes = bytes()?,
            MODULE => self.module_bytes = bytes()?,
            COMPILE_CPU => self.compile_cpu = time()?,
            COMPILE_MEMORY => self.compile_memory_bytes = bytes()?,
            _ => {
                return Err(format!(
                    "{name:?} is not a limit; there are {}",
                    NAMES.join(", ")
                ));
            }
        }
        Ok(())
    }
}

const WALL_TIME: &str = "wall-time";
const FUEL: &str = "fuel";
const MEMORY: &str = "memory";
const TABLE_ELEMENTS: &str = "table-elements";
const INSTANCES: &str = "instances";
const HANDLES: &str = "handles";
const STACK: &str = "stack";
const RESULT: &str = "result";
const LOG: &str = "log";
const MODULE: &str = "module";
const COMPILE_CPU: &str = "compile-cpu";
const COMPILE_MEMORY: &str = "compile-memory";

/// Every limit that an administrator can set.
const NAMES: [&str; 12] = [
    WALL_TIME,
    FUEL,
    MEMORY,
    TABLE_ELEMENTS,
    INSTANCES,
    HANDLES,
    STACK,
    RESULT,
    LOG,
    MODULE,
    COMPILE_CPU,
    COMPILE_MEMORY,
];

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

/// A size as a number to compare and to print.
pub(crate) fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A duration in whole microseconds.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
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
    fn limits_are_read_from_text_and_the_rest_keeps_its_default() {
        let limits: Limits = "fuel=7, memory=32Mi,wall-time=500ms,compile-cpu=9s,module=65536"
            .parse()
            .unwrap();
        let expected = Limits {
            fuel: 7,
            memory_bytes: 32 << 20,
            wall_time: Duration::from_millis(500),
            compile_cpu: Duration::from_secs(9),
            module_bytes: 65536,
            ..Limits::default()
        };
        assert_eq!(limits, expected);
        assert_eq!("".parse::<Limits>(), Ok(Limits::default()));
    }

    #[test]
    fn every_limit_can_be_set_by_the_name_that_its_figure_has() {
        let figures = Usage::default().figures(&Limits::default());
        assert_eq!(figures.map(|figure| figure.name), NAMES);
        for figure in figures {
            let (value, expected) = match figure.unit {
                Unit::Micros => ("7s", 7_000_000),
                Unit::Bytes => ("20Mi", 20 << 20),
                Unit::Count => ("33", 33),
            };
            let value = if figure.name == STACK { "20Ki" } else { value };
            let expected = if figure.name == STACK {
                20 << 10
            } else {
                expected
            };
            let limits: Limits = format!("{}={value}", figure.name).parse().unwrap();
            let set = Usage::default()
                .figures(&limits)
                .into_iter()
                .find(|set| set.name == figure.name);
            assert_eq!(set.unwrap().limit, expected, "{}", figure.name);
        }
    }

    #[test]
    fn what_is_no_limit_or_no_number_is_refused_by_name() {
        for (text, part) in [
            ("fule=1", "there are wall-time, fuel"),
            ("fuel", "\"\" is not a number for fuel"),
            ("fuel=-1", "for fuel"),
            ("memory=1Ti", "for memory"),
            ("memory=99999999999Gi", "for memory"),
            ("wall-time=5", "for wall-time"),
            ("fuel=0", "at least 1"),
        ] {
            let error = text.parse::<Limits>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
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
