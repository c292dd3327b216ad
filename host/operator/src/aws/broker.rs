//! One call for many askers, and the memory of tokens and failures.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ecr_secret_core::reason::Reason;
use ecr_secret_core::registry::{RegistryKind, is_plausible_region};
use ecr_secret_core::token::Token;
use futures::FutureExt;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;
use tokio::sync::watch;

use super::client::{Aws, PUBLIC_REGION, step};
use super::credentials::Session;
use super::identity::{self, FileContent, Files};
use super::memory::{Flight, Landing, Memory, is_near_end};
use super::problem::Problem;
use super::region::looks_real;
use super::{BrokerOptions, Failure, Freshness, TokenKey, answer};

/// From this many keys on, the ones that are of no use any more are forgotten.
const KEYS_BEFORE_CLEANING: usize = 128;

/// Gives out tokens. Cheap to clone; the clones share everything.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

struct Inner {
    options: BrokerOptions,
    aws: Aws,
    limiter: DefaultDirectRateLimiter,
    /// For regions that look invented: they must not use up the calls of the others.
    doubtful: DefaultDirectRateLimiter,
    seeds: RandomState,
    /// Held while the files are read, so that an older reading cannot overtake a newer one.
    reading: tokio::sync::Mutex<()>,
    changed: watch::Sender<u64>,
    state: Mutex<State>,
}

struct State {
    /// Counts the identities; tokens and failures belong to the current one.
    generation: u64,
    fingerprint: Option<[u8; 32]>,
    session: Arc<Session>,
    keys: HashMap<TokenKey, Memory>,
    flights: u64,
}

enum Look {
    Ready(Result<Arc<Token>, Failure>),
    Wait(Flight),
}

impl Broker {
    /// Makes a broker and starts to watch the credentials files. Call it inside a tokio runtime.
    pub fn new(options: BrokerOptions) -> Self {
        let rate = options.rate;
        let nothing_read = Problem::new(Reason::CredentialsMissing, "not read yet");
        let inner = Arc::new(Inner {
            aws: Aws::new(options.environment.clone(), options.timeouts),
            limiter: RateLimiter::direct(
                Quota::per_second(rate.per_second).allow_burst(rate.burst),
            ),
            doubtful: RateLimiter::direct(
                Quota::per_second(NonZeroU32::MIN).allow_burst(rate.per_second),
            ),
            seeds: RandomState::new(),
            reading: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(1),
            state: Mutex::new(State {
                generation: 1,
                fingerprint: None,
                session: Arc::new(Session::new(Err(nothing_read))),
                keys: HashMap::new(),
                flights: 0,
            }),
            options,
        });
        let watched = Arc::downgrade(&inner);
        tokio::spawn(async move {
            while let Some(inner) = watched.upgrade() {
                inner.reread().await;
                let pause = inner.options.recheck;
                drop(inner);
                tokio::time::sleep(pause).await;
            }
        });
        Self { inner }
    }

    /// Counts up whenever the credentials on disk change. All failures are forgotten then, so whoever
    /// waits for one should ask again at once.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Gives a token that is fresh enough, from memory or from AWS.
    ///
    /// Dropping the future harms nobody: a call that is under way goes on for the other askers.
    ///
    /// # Errors
    /// The [`Failure`] of the call, or the one of an earlier call while its wait lasts.
    pub async fn token(&self, key: &TokenKey, freshness: Freshness) -> Result<Arc<Token>, Failure> {
        let inner = &self.inner;
        let mut key = key.clone();
        if key.kind == RegistryKind::Public {
            PUBLIC_REGION.clone_into(&mut key.region);
        }
        // What cannot stand in a host name could lead to another host.
        if !is_plausible_region(&key.region) {
            return Err(inner.impossible_region(&key.region));
        }
        let floor = freshness.issued_after;
        let mut flights_before = None;
        loop {
            let flight = match inner.look(&key, floor, freshness.force, &mut flights_before) {
                Look::Ready(result) => return result,
                Look::Wait(flight) => flight,
            };
            // A flight that began after the asker came is good enough whatever the clock says;
            // an earlier one only if it began after the floor, and never for one who insists.
            let good_enough = flights_before.is_some_and(|before| flight.number > before)
                || (flight.started >= floor && !freshness.force);
            let mut landed = flight.landed;
            let landing = match landed.wait_for(Option::is_some).await {
                Ok(landing) => landing.clone(),
                Err(_) => return Err(inner.stopping()),
            };
            if let Some(Landing::Done(result)) = landing
                && good_enough
            {
                return result;
            }
        }
    }
}

impl Broker {
    /// Who AWS says that this is: the identity's ARN, and where the identity comes from. `region` is where STS is asked if the
    /// identity names no region of its own.
    ///
    /// # Errors
    /// There are no credentials, or AWS does not take them.
    pub async fn caller(&self, region: Option<&str>) -> Result<String, Failure> {
        let inner = &self.inner;
        inner.reread().await;
        let (_, session) = inner.current();
        let asked = async {
            let identity = session.identity.as_ref().map_err(Problem::clone)?;
            let region = identity.home_region.as_deref().or(region);
            let region = region.unwrap_or(PUBLIC_REGION);
            let credentials = session.credentials(&inner.aws, identity, region).await?;
            let arn = inner.aws.caller(region, identity, credentials).await?;
            Ok(format!("{arn}, {}", identity.source.hint()))
        };
        asked.await.map_err(|problem| {
            let key = TokenKey {
                region: region.unwrap_or_default().to_owned(),
                kind: RegistryKind::Private,
            };
            inner.failure(problem, (inner.options.clock)(), 1, &key)
        })
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers from memory, or joins the flight of the key, or starts one.
    fn look(
        self: &Arc<Self>,
        key: &TokenKey,
        floor: Timestamp,
        force: bool,
        flights_before: &mut Option<u64>,
    ) -> Look {
        let now = (self.options.clock)();
        let mut state = self.state();
        let state = &mut *state;
        flights_before.get_or_insert(state.flights);
        if state.keys.len() >= KEYS_BEFORE_CLEANING && !state.keys.contains_key(key) {
            state.keys.retain(|_, memory| memory.is_of_use(now));
        }
        let memory = state.keys.entry(key.clone()).or_default();
        if let Some(token) = &memory.token
            && token.issued_at() >= floor
            && !is_near_end(token, now)
        {
            return Look::Ready(Ok(Arc::clone(token)));
        }
        if let Some(flight) = memory.flight.as_ref().filter(|flight| flight.is_up()) {
            return Look::Wait(flight.clone());
        }
        if let Some(failure) = &memory.failure
            && failure.retry_at > now
            && !force
        {
            return Look::Ready(Err(failure.clone()));
        }
        state.flights += 1;
        let (landing, landed) = watch::channel(None);
        let flight = Flight {
            number: state.flights,
            started: now,
            landed,
        };
        memory.flight = Some(flight.clone());
        tokio::spawn(Arc::clone(self).fly(key.clone(), landing));
        Look::Wait(flight)
    }

    /// One call of AWS, from the look at the files to the memory of its result.
    async fn fly(self: Arc<Self>, key: TokenKey, landing: watch::Sender<Option<Landing>>) {
        let attempt = AssertUnwindSafe(self.attempt(&key)).catch_unwind().await;
        let (generation, result) = attempt.unwrap_or_else(|_| {
            let generation = self.state().generation;
            (generation, Err(self.library_failed()))
        });
        landing.send_replace(Some(self.land(&key, generation, result)));
    }

    async fn attempt(&self, key: &TokenKey) -> (u64, Result<Token, Problem>) {
        self.reread().await;
        let (generation, session) = self.current();
        if let Err(problem) = &session.identity {
            return (generation, Err(problem.clone()));
        }
        let limiter = if looks_real(&key.region) {
            &self.limiter
        } else {
            &self.doubtful
        };
        if limiter.check().is_err() {
            limiter.until_ready().await;
            self.reread().await;
        }
        let (generation, session) = self.current();
        let begun = Instant::now();
        let result = self.call(key, &session).await;
        let outcome = result
            .as_ref()
            .map(|_| ())
            .map_err(|problem| problem.reason);
        self.options
            .metrics
            .attempted(key, outcome, begun.elapsed());
        (generation, result)
    }

    fn current(&self) -> (u64, Arc<Session>) {
        let state = self.state();
        (state.generation, Arc::clone(&state.session))
    }

    async fn call(&self, key: &TokenKey, session: &Session) -> Result<Token, Problem> {
        let identity = session.identity.as_ref().map_err(Problem::clone)?;
        let credentials = session
            .credentials(&self.aws, identity, &key.region)
            .await?;
        let issued_at = (self.options.clock)();
        let entries = match self.aws.authorization(key, identity, credentials).await {
            Ok(entries) => entries,
            Err(problem) => {
                if problem.reason == Reason::CredentialsInvalid {
                    session.forget(identity, &key.region).await;
                }
                return Err(problem);
            }
        };
        answer::token(entries, issued_at, (self.options.clock)()).map_err(|fault| {
            step(key, identity).problem(Reason::AwsAnswerInvalid, fault, "retried automatically")
        })
    }

    /// Remembers what a flight brought.
    fn land(&self, key: &TokenKey, generation: u64, result: Result<Token, Problem>) -> Landing {
        let now = (self.options.clock)();
        let mut state = self.state();
        let superseded = state.generation != generation;
        let memory = state.keys.entry(key.clone()).or_default();
        memory.flight = None;
        if superseded {
            return Landing::Superseded;
        }
        Landing::Done(match result {
            Ok(token) => {
                let token = Arc::new(token);
                *memory = Memory {
                    token: Some(Arc::clone(&token)),
                    ..Memory::default()
                };
                Ok(token)
            }
            Err(problem) => {
                memory.failures = memory.failures.saturating_add(1);
                let failure = self.failure(problem, now, memory.failures, key);
                tracing::debug!(region = key.region, kind = ?key.kind, reason = ?failure.reason, "{failure}");
                memory.failure = Some(failure.clone());
                Err(failure)
            }
        })
    }

    fn failure(&self, problem: Problem, now: Timestamp, count: u32, key: &TokenKey) -> Failure {
        let seed = self.seeds.hash_one(key);
        let retry_at = self
            .options
            .backoff
            .retry_at(now, problem.waiting_helps, count, seed);
        Failure {
            reason: problem.reason,
            message: problem.message,
            retry_at,
            waiting_helps: problem.waiting_helps,
        }
    }

    /// Looks at the credentials files; another content is another identity.
    async fn reread(&self) {
        let _turn = self.reading.lock().await;
        let [config, credentials] = identity::file_paths(&self.options.environment);
        let files = Files {
            config: read(config).await,
            credentials: read(credentials).await,
        };
        let fingerprint = identity::fingerprint(&files);
        if self.state().fingerprint == Some(fingerprint) {
            return;
        }
        let options = &self.options;
        let found = identity::resolve(&options.environment, &files, &options.openshift_token);
        match &found {
            Ok(identity) => tracing::info!(identity = identity.source.hint(), "AWS identity"),
            Err(problem) => tracing::warn!("{}", problem.message),
        }
        let mut state = self.state();
        let first = state.fingerprint.replace(fingerprint).is_none();
        state.session = Arc::new(Session::new(found));
        if first {
            return;
        }
        state.generation += 1;
        state.keys.retain(|_, memory| {
            *memory = Memory {
                flight: memory.flight.take(),
                ..Memory::default()
            };
            memory.flight.is_some()
        });
        let generation = state.generation;
        drop(state);
        self.changed.send_replace(generation);
    }

    fn impossible_region(&self, region: &str) -> Failure {
        let what = if region.is_empty() {
            "no region is known".to_owned()
        } else {
            let shown: String = region.escape_debug().take(40).collect();
            format!("{shown} is not the name of a region")
        };
        let problem = Problem::new(
            Reason::InvalidRegion,
            format!("GetAuthorizationToken: {what}; set spec.region to one such as eu-west-1"),
        );
        let key = TokenKey {
            region: region.to_owned(),
            kind: RegistryKind::Private,
        };
        self.failure(problem, (self.options.clock)(), u32::MAX, &key)
    }

    /// The AWS library panicked. It does so on values that it takes for impossible.
    fn library_failed(&self) -> Problem {
        let paths = identity::file_paths(&self.options.environment);
        let paths: Vec<String> = paths.into_iter().flatten().collect();
        Problem::new(
            Reason::CredentialsInvalid,
            format!(
                "the AWS library cannot work with a setting in the AWS_* environment variables or in {}; the operator's log has the details, remove the setting",
                paths.join(" or ")
            ),
        )
    }

    fn stopping(&self) -> Failure {
        Failure {
            reason: Reason::AwsUnreachable,
            message:
                "no token was fetched because the operator is stopping; the next start tries again"
                    .to_owned(),
            retry_at: (self.options.clock)(),
            waiting_helps: true,
        }
    }
}

async fn read(path: Option<String>) -> Option<FileContent> {
    use std::io::ErrorKind;
    let path = path?;
    let text = match tokio::fs::read(&path).await {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| "it is not UTF-8 text".to_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error.kind().to_string()),
    };
    Some(FileContent { path, text })
}
