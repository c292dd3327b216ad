//! The administrator's guardrail: a module in a directory that a `ConfigMap` of the operator's own namespace fills.
//!
//! Nobody has to name it: the Deployment mounts that `ConfigMap` if it exists, and no tenant can write it. A new version
//! takes over when it loads; one that does not leaves the version before it in force. Where there is none before it,
//! nothing is decided until it is mended: a guardrail that is there must not be passed by.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ecr_policy_model::Request;
use ecr_policy_verdict::{Failed, Guardrail, guardrail_failed};
use ecr_secret_core::validate::{DecisionLimits, Guarded, ValidDecision};
use ecr_secret_engine::Engine;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

/// The module's file.
const MODULE: &str = "policy.wasm";
/// The settings' file; it may be missing.
const SETTINGS: &str = "settings.json";
/// How often the directory is looked at; kubelet takes a minute to bring a change there.
const LOOK: Duration = Duration::from_secs(2);

/// The guardrail of a directory.
#[derive(Debug)]
pub struct Guard {
    directory: PathBuf,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// What was looked at last.
    seen: Option<Seen>,
    in_force: InForce,
}

#[derive(Clone, Debug, Default)]
enum InForce {
    /// There is no guardrail.
    #[default]
    Nothing,
    This(Guardrail),
    /// There is one, and it cannot be used.
    Broken(String),
}

/// Tells two states of the files apart. kubelet puts a new file in the place of the old one.
type Seen = [Option<(u64, i64, i64, u64)>; 2];

impl Guard {
    /// The guardrail of this directory; none if no directory is given.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            state: Mutex::default(),
            changed: watch::Sender::default(),
        }
    }

    /// Counts the guardrails that came into force.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Looks at the directory from time to time, for ever.
    pub async fn follow(self: std::sync::Arc<Self>, engine: Engine) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let (guard, engine) = (std::sync::Arc::clone(&self), engine.clone());
            // It ends early only with the process.
            let _ = spawn_blocking(move || guard.look(&engine)).await;
        }
    }

    /// Takes up what is in the directory now. Blocks, for a compilation if need be.
    pub fn look(&self, engine: &Engine) {
        if self.directory.as_os_str().is_empty() {
            return;
        }
        let seen = [MODULE, SETTINGS].map(|file| state_of(&self.directory.join(file)));
        if self.lock().seen.as_ref() == Some(&seen) {
            return;
        }
        let loaded = load(&self.directory, engine);
        let mut state = self.lock();
        // What fails by circumstances is tried again.
        state.seen = (!matches!(loaded, Err((_, true)))).then_some(seen);
        let next = match loaded {
            Ok(None) => InForce::Nothing,
            Ok(Some(guardrail)) => {
                let digest = guardrail.policy().digest();
                info!(digest, "the guardrail is in force");
                InForce::This(guardrail)
            }
            Err((why, _)) if matches!(state.in_force, InForce::This(_)) => {
                warn!(
                    why,
                    "the new guardrail cannot be used; the one before it stays in force"
                );
                return;
            }
            Err((why, _)) => {
                warn!(
                    why,
                    "the guardrail cannot be used: nothing is renewed until it can"
                );
                InForce::Broken(why)
            }
        };
        let nothing_new = matches!(
            (&state.in_force, &next),
            (InForce::Nothing, InForce::Nothing)
        );
        state.in_force = next;
        drop(state);
        if !nothing_new {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// Shows the guardrail a decision.
    ///
    /// # Errors
    /// It refuses, or cannot be asked.
    pub(super) async fn guard(
        &self,
        request: &Request,
        decision: ValidDecision,
        limits: DecisionLimits,
    ) -> Result<Guarded, Failed> {
        let in_force = self.lock().in_force.clone();
        match in_force {
            InForce::Nothing => Ok(Guarded {
                decision,
                taken: Vec::new(),
            }),
            InForce::Broken(why) => Err(guardrail_failed(&why)),
            InForce::This(guardrail) => {
                let request = request.clone();
                spawn_blocking(move || guardrail.guard(&request, &decision, &limits))
                    .await
                    .unwrap_or_else(|_| {
                        Err(Failed {
                            passing: true,
                            ..guardrail_failed("its evaluation ended unexpectedly")
                        })
                    })
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing between the lock and its end can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn state_of(path: &Path) -> Option<(u64, i64, i64, u64)> {
    let of = |found: Metadata| (found.ino(), found.mtime(), found.mtime_nsec(), found.len());
    fs::metadata(path).ok().map(of)
}

/// The guardrail of the directory; none if there is no module. An error, and whether it may pass by itself.
fn load(directory: &Path, engine: &Engine) -> Result<Option<Guardrail>, (String, bool)> {
    let read = |name: &str| {
        let path = directory.join(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err((format!("{} cannot be read: {error}", path.display()), false)),
        }
    };
    let Some(file) = read(MODULE)? else {
        return Ok(None);
    };
    let settings = read(SETTINGS)?.unwrap_or_else(|| b"{}".to_vec());
    let settings = String::from_utf8_lossy(&settings);
    let policy = engine
        .load(&file)
        .map_err(|error| (error.to_string(), error.is_transient()))?;
    let guardrail = Guardrail::new(policy, &settings).map_err(|why| (why, false))?;
    Ok(Some(guardrail))
}
