//! The parent's side: starts a child, feeds it, waits for it, and tells what became of it.

use std::{
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{Artifact, CompileCost, arguments, child::REFUSED};
use crate::{Limits, LoadError, text};

/// The most machine code that is taken over, as a multiple of the module. Usual is four to eight.
const CODE_TO_MODULE: usize = 64;
/// And what a module may have in any case, in bytes.
const CODE_BYTES: usize = 4 << 20;
/// How much of what a child writes to standard error is read, in bytes.
const WORDS_BYTES: u64 = 8 << 10;
/// The exit code of a Rust program that panicked.
const PANICKED: i32 = 101;
/// How much longer than its time of the processor a child may take by the clock, on a machine that is busy.
const CLOCK_FACTOR: u32 = 4;

/// Compiles in a child process.
pub(super) fn compile(
    program: &Path,
    limits: &Limits,
    module: &[u8],
) -> Result<Artifact, LoadError> {
    let mut child = Command::new(program)
        .args(arguments(limits))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| unavailable(&error))?;
    let deadline = Instant::now() + limits.compile_cpu * CLOCK_FACTOR;
    let (Some(mut input), Some(output), Some(words)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(LoadError::CompilerUnavailable {
            message: "the child process has no pipes".into(),
        });
    };
    let most = module.len().saturating_mul(CODE_TO_MODULE).max(CODE_BYTES);
    let (done, ended) = mpsc::channel::<()>();
    let (answer, words) = thread::scope(|scope| {
        // A child that ends early does not read to the end, which is no failure of its own.
        scope.spawn(move || drop(input.write_all(module)));
        let words = scope.spawn(move || read(words, WORDS_BYTES));
        let answer = scope.spawn(move || {
            let answer = read(output, u64::try_from(most).unwrap_or(u64::MAX));
            drop(done);
            answer
        });
        // Nothing is ever sent: the channel closes when the output does.
        let left = deadline.saturating_duration_since(Instant::now());
        if ended.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
            // It may have ended just now.
            let _ = child.kill();
        }
        (
            answer.join().unwrap_or_default(),
            words.join().unwrap_or_default(),
        )
    });
    let status = wait(&mut child, deadline).map_err(|error| unavailable(&error))?;
    if status.success() {
        return artifact(answer, most);
    }
    Err(failure(
        status,
        &String::from_utf8_lossy(&words),
        Instant::now() >= deadline,
        limits,
    ))
}

/// Reads at most so many bytes, and lets the rest pass, so that the writer does not wait for ever.
fn read(mut from: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read shows in what is missing.
    let _ = from.by_ref().take(most).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut from, &mut std::io::sink());
    bytes
}

/// Waits for the end of a child that has closed its output, and ends it when it takes its time.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            return child.wait();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// What stands before the code: what it took.
pub(super) fn header(cpu_micros: u64, memory_bytes: u64) -> [u8; 16] {
    let mut header = [0; 16];
    header[..8].copy_from_slice(&cpu_micros.to_le_bytes());
    header[8..].copy_from_slice(&memory_bytes.to_le_bytes());
    header
}

fn artifact(mut answer: Vec<u8>, most: usize) -> Result<Artifact, LoadError> {
    if answer.len() >= most {
        return Err(LoadError::CompileLimit {
            what: "bytes of machine code",
            limit: most.to_string(),
        });
    }
    let (Some(cpu), Some(memory)) = (number(&answer, 0), number(&answer, 8)) else {
        return Err(LoadError::CompilerUnavailable {
            message: "the child process answered nothing".into(),
        });
    };
    answer.drain(..16);
    Ok(Artifact {
        code: answer,
        cost: CompileCost {
            cpu: Duration::from_micros(cpu),
            memory_bytes: memory,
        },
    })
}

/// The number that stands at `at`, as [`header`] writes it.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..at + 8)?
        .try_into()
        .ok()
        .map(u64::from_le_bytes)
}

/// What a child died of.
fn failure(status: ExitStatus, words: &str, overdue: bool, limits: &Limits) -> LoadError {
    if status.code() == Some(REFUSED.into()) {
        let message = text::one_line(words, text::MESSAGE_BYTES);
        return LoadError::CompileFailed { message };
    }
    // A panic: wasmtime meets what it takes for impossible, for instance components that call each other.
    if status.code() == Some(PANICKED) {
        let message = "the compiler cannot handle it; if it is composed of components that call each other, build it as one";
        return LoadError::CompileFailed {
            message: message.to_owned(),
        };
    }
    let signal = |signal: Signal| status.signal() == Some(signal.as_raw());
    if overdue || signal(Signal::XCPU) || signal(Signal::KILL) {
        return LoadError::CompileLimit {
            what: "time of the processor",
            limit: format!("{} s", limits.compile_cpu.as_secs()),
        };
    }
    // An allocation that fails aborts, and says so; a stack that overflows does too.
    if words.contains("memory allocation") || words.contains("annot allocate memory") {
        return LoadError::CompileLimit {
            what: "memory",
            limit: format!("{} bytes", limits.compile_memory_bytes),
        };
    }
    if words.contains("overflowed its stack") || signal(Signal::SEGV) {
        return LoadError::CompileLimit {
            what: "depth",
            limit: "the compiler's stack".into(),
        };
    }
    let how = status
        .code()
        .map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
    LoadError::CompilerUnavailable {
        message: text::one_line(&format!("{how}: {words}"), text::MESSAGE_BYTES),
    }
}

fn unavailable(error: &std::io::Error) -> LoadError {
    LoadError::CompilerUnavailable {
        message: text::one_line(&error.to_string(), text::MESSAGE_BYTES),
    }
}
