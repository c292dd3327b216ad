//! The child's side: reads a module from standard input, writes machine code to standard output.
//!
//! It does nothing before it has limited itself: the address space, the time of the processor, no new file, no core
//! dump, and it ends with its parent. It has no environment, no open file but the three streams, and it
//! starts no thread.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::{ROLE, precompile};
use crate::{Limits, config};

/// The exit code that says that the module is at fault; standard error has the reason.
pub(super) const REFUSED: u8 = 3;

/// Compiles one module when this process was started for that, and tells how to end. None in any other process.
///
/// A program that is named in [`Compilation::Isolated`](super::Compilation::Isolated) calls this before it does
/// anything else, above all before it starts threads.
pub fn compile_role() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ROLE {
        return None;
    }
    let outcome = Order::read(arguments).and_then(|order| order.carry_out());
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Module(message)) => {
            eprint!("{message}");
            ExitCode::from(REFUSED)
        }
        Err(Failure::Here(message)) => {
            eprint!("{message}");
            ExitCode::FAILURE
        }
    })
}

enum Failure {
    /// The module does not compile.
    Module(String),
    /// This process cannot do its work.
    Here(String),
}

fn here(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::Here(format!("{what}: {error}"))
}

/// What the parent asks for.
struct Order {
    stack_bytes: usize,
    cpu_seconds: u64,
    memory_bytes: u64,
    module_bytes: u64,
}

impl Order {
    fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, Failure> {
        let numbers: Option<Vec<u64>> = arguments
            .map(|argument| argument.to_str()?.parse().ok())
            .collect();
        match numbers.as_deref() {
            Some(&[stack_bytes, cpu_seconds, memory_bytes, module_bytes]) => Ok(Self {
                stack_bytes: usize::try_from(stack_bytes).unwrap_or(usize::MAX),
                cpu_seconds,
                memory_bytes,
                module_bytes,
            }),
            _ => Err(Failure::Here(
                "this is started by the operator, with four numbers".into(),
            )),
        }
    }

    fn carry_out(&self) -> Result<(), Failure> {
        let idle = memory("VmSize:").unwrap_or(0);
        self.limit(idle)?;
        let mut module = Vec::new();
        io::stdin()
            .take(self.module_bytes)
            .read_to_end(&mut module)
            .map_err(here("the module cannot be read"))?;
        let limits = Limits {
            stack_bytes: self.stack_bytes,
            ..Limits::default()
        };
        let engine =
            config::compiler(&limits).map_err(|error| Failure::Here(format!("{error:#}")))?;
        let code = precompile(&engine, &module).map_err(Failure::Module)?;
        let used = memory("VmPeak:").unwrap_or(idle).saturating_sub(idle);
        let mut output = io::stdout().lock();
        output
            .write_all(&super::header(processor_micros(), used))
            .and_then(|()| output.write_all(&code))
            .and_then(|()| output.flush())
            .map_err(here("the code cannot be handed over"))
    }

    fn limit(&self, idle: u64) -> Result<(), Failure> {
        let set = |resource, soft: u64, hard: u64| {
            let limit = Rlimit {
                current: Some(soft),
                maximum: Some(hard),
            };
            setrlimit(resource, limit).map_err(|error| here("a limit cannot be set")(error.into()))
        };
        let memory = idle.saturating_add(self.memory_bytes);
        set(Resource::As, memory, memory)?;
        // The signal of the first one ends the process, the second one is for whoever would ignore it.
        set(Resource::Cpu, self.cpu_seconds, self.cpu_seconds + 1)?;
        set(Resource::Core, 0, 0)?;
        // Whatever is under way beside it goes first. It may not be allowed, and is no limit.
        let _ = rustix::process::nice(19);
        set(Resource::Fsize, 0, 0)?;
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| here("the parent's end cannot be watched")(error.into()))
    }
}

/// A figure of this process in bytes, from `/proc/self/status`.
fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The time that this process has used of a processor.
fn processor_micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000) + nanos / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_four_numbers() {
        let words =
            |text: &str| -> Vec<OsString> { text.split_whitespace().map(OsString::from).collect() };
        assert!(Order::read(words("1 2 3 4").into_iter()).is_ok());
        for wrong in ["", "1 2 3", "1 2 3 4 5", "1 2 3 x", "-1 2 3 4"] {
            assert!(Order::read(words(wrong).into_iter()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_figures_of_this_process_can_be_read() {
        let size = memory("VmSize:").unwrap_or(0);
        let peak = memory("VmPeak:").unwrap_or(0);
        assert!(size > 64 << 10 && peak >= size, "{size} {peak}");
        assert!(processor_micros() > 0);
    }
}
