//! A double, a broker that talks to it, a directory for files and a clock that tests move.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use aws_double::{Action, AwsDouble, DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY, issued};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ecr_secret_core::registry::RegistryKind;
use ecr_secret_core::token::Token;
use ecr_secret_operator::aws::{Broker, BrokerOptions, Failure, Freshness, Timeouts, TokenKey};
use jiff::{SignedDuration, Timestamp};

pub(crate) const ECR: Action = Action::EcrGetAuthorizationToken;
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/puller";
pub(crate) const SUBJECT: &str = "system:serviceaccount:ecr-secret-operator:manager";

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) aws: AwsDouble,
    pub(crate) dir: Dir,
    /// Milliseconds that the broker's clock is ahead.
    ahead: Arc<AtomicI64>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self {
            aws: AwsDouble::start().await,
            dir: Dir::new(),
            ahead: Arc::default(),
        }
    }

    /// An environment that leads to the double and has no credentials.
    pub(crate) fn bare(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.aws.endpoint()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Options for that environment and more, with short time limits.
    pub(crate) fn options(&self, more: &[(&'static str, &str)]) -> BrokerOptions {
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let ahead = Arc::clone(&self.ahead);
        BrokerOptions {
            timeouts: Timeouts {
                connect: Duration::from_secs(1),
                attempt: Duration::from_secs(2),
                operation: Duration::from_secs(3),
            },
            recheck: Duration::from_millis(20),
            clock: Arc::new(move || {
                Timestamp::now() + SignedDuration::from_millis(ahead.load(Ordering::SeqCst))
            }),
            ..BrokerOptions::new(self.bare().into_iter().chain(more).collect())
        }
    }

    /// A broker with the double's access key in the environment.
    pub(crate) fn broker(&self) -> Broker {
        Broker::new(self.options(&[
            ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", DEFAULT_SECRET_ACCESS_KEY),
        ]))
    }

    /// A broker with a config file of this content.
    pub(crate) fn broker_with_file(&self, content: &str) -> Broker {
        let path = self.dir.write("credentials", content);
        Broker::new(self.options(&[("AWS_CONFIG_FILE", path.as_str())]))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.ahead.load(Ordering::SeqCst))
    }

    /// Moves the broker's clock on, and the double's.
    pub(crate) fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.ahead.fetch_add(millis, Ordering::SeqCst);
        self.aws.advance_clock(by);
    }

    /// Moves the clocks to where a failure's wait is over.
    pub(crate) fn sit_out(&self, failure: &Failure) {
        let wait = failure.retry_at.duration_since(self.now());
        self.advance(Duration::try_from(wait).unwrap_or_default() + Duration::from_millis(1));
    }

    /// Calls of ECR so far.
    pub(crate) fn calls(&self) -> u64 {
        self.aws.counts().of(ECR)
    }

    pub(crate) async fn wait_for_calls(&self, calls: u64) {
        wait_until("the calls arrived", || self.calls() >= calls).await;
    }
}

/// Polls until it holds, and fails the test when it does not for long.
pub(crate) async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

pub(crate) fn key(region: &str) -> TokenKey {
    TokenKey {
        region: region.to_owned(),
        kind: RegistryKind::Private,
    }
}

pub(crate) fn public() -> TokenKey {
    TokenKey {
        region: String::new(),
        kind: RegistryKind::Public,
    }
}

pub(crate) async fn ask(broker: &Broker) -> Result<Arc<Token>, Failure> {
    ask_for(broker, &key(REGION), Freshness::ANY).await
}

/// Asks; the caller is never kept waiting for long.
pub(crate) async fn ask_for(
    broker: &Broker,
    key: &TokenKey,
    freshness: Freshness,
) -> Result<Arc<Token>, Failure> {
    tokio::time::timeout(PATIENCE, broker.token(key, freshness))
        .await
        .expect("the broker answers in time")
}

/// The number that the double gave the token.
pub(crate) fn number(token: &Token) -> u64 {
    issued(token.expose_password()).unwrap().number
}

/// The ARN that the token was issued for.
pub(crate) fn identity(token: &Token) -> String {
    issued(token.expose_password()).unwrap().identity
}

/// A token like the ones that kubelet projects.
pub(crate) fn jwt(audience: &str) -> String {
    let expires = Timestamp::now().as_second() + 24 * 3600;
    let claims = format!(
        r#"{{"aud":["{audience}"],"sub":"{SUBJECT}","exp":{expires},"iss":"https://kubernetes.default.svc"}}"#
    );
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

/// A directory that goes away with the test.
pub(crate) struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("ecr-broker-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Replaces the file at once, as a reader must never see half of it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        let new = self.0.join(format!("{name}.new"));
        std::fs::write(&new, content).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
