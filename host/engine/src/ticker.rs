//! The clock of the time limit.
//!
//! One plain thread advances the engine's epoch. A running guest looks at the epoch at every loop and
//! call, and when it has moved asks the real clock. The thread holds a weak reference: it ends within
//! one tick of the last engine, store or policy.

use std::{thread, time::Duration};

use wasmtime::EngineWeak;

use crate::EngineError;

/// How often the guests look at the clock, and so by how much a limit can be overrun.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Starts the thread.
pub(crate) fn start(engine: EngineWeak) -> Result<(), EngineError> {
    let run = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new()
        .name("policy-ticker".into())
        .stack_size(64 << 10)
        .spawn(run)
        .map(drop)
        .map_err(|error| EngineError::Ticker {
            message: error.to_string(),
        })
}
