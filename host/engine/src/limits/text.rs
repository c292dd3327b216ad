//! The limits as an administrator writes them, and what each is.

use std::{str::FromStr, time::Duration};

use super::Limits;
use crate::EngineError;

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
                    Self::DESCRIBED.map(|limit| limit.name).join(", ")
                ));
            }
        }
        Ok(())
    }
}

pub(super) const WALL_TIME: &str = "wall-time";
pub(super) const FUEL: &str = "fuel";
pub(super) const MEMORY: &str = "memory";
pub(super) const TABLE_ELEMENTS: &str = "table-elements";
pub(super) const INSTANCES: &str = "instances";
pub(super) const HANDLES: &str = "handles";
pub(super) const STACK: &str = "stack";
pub(super) const RESULT: &str = "result";
pub(super) const LOG: &str = "log";
pub(super) const MODULE: &str = "module";
pub(super) const COMPILE_CPU: &str = "compile-cpu";
pub(super) const COMPILE_MEMORY: &str = "compile-memory";

/// One limit in words, for documents and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name, as an administrator sets it.
    pub name: &'static str,
    /// What it bounds.
    pub meaning: &'static str,
    /// What becomes of a policy that reaches it: the words of [`EvaluationError::reason`](crate::EvaluationError::reason) or
    /// [`LoadError::reason`](crate::LoadError::reason); empty where it goes on.
    pub reasons: &'static [&'static str],
}

impl Limits {
    /// Every limit that an administrator can set.
    pub const DESCRIBED: [Described; 12] = [
        describe(
            WALL_TIME,
            "Time of one evaluation by the clock, from the new instance to the answer.",
            &["DeadlineExceeded"],
        ),
        describe(
            FUEL,
            "Fuel of one evaluation: about one unit for an executed instruction.",
            &["FuelExhausted"],
        ),
        describe(
            MEMORY,
            "Linear memory, summed over all memories of a module.",
            &["MemoryLimit"],
        ),
        describe(
            TABLE_ELEMENTS,
            "Table elements, summed over all tables of a module.",
            &["TableLimit"],
        ),
        describe(
            INSTANCES,
            "Core instances of one module.",
            &["InstanceLimit"],
        ),
        describe(
            HANDLES,
            "Resource handles that live at the same time; only a guest that imports WASI has any.",
            &["HandleLimit"],
        ),
        describe(
            STACK,
            "The stack of the guest's calls.",
            &["StackExhausted"],
        ),
        describe(
            RESULT,
            "What the host takes over from the guest in one answer.",
            &["ResultTooLarge"],
        ),
        describe(
            LOG,
            "What is kept of standard output and standard error; the rest is dropped, and the policy goes on.",
            &[],
        ),
        describe(
            MODULE,
            "The module, unpacked if it came compressed.",
            &["ModuleTooLarge"],
        ),
        describe(
            COMPILE_CPU,
            "Processor time of one compilation, in whole seconds.",
            &["CompileLimit"],
        ),
        describe(
            COMPILE_MEMORY,
            "Address space of one compilation.",
            &["CompileLimit"],
        ),
    ];
}

const fn describe(
    name: &'static str,
    meaning: &'static str,
    reasons: &'static [&'static str],
) -> Described {
    Described {
        name,
        meaning,
        reasons,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{Unit, Usage};

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
        assert_eq!(
            figures.map(|figure| figure.name),
            Limits::DESCRIBED.map(|limit| limit.name)
        );
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
}
