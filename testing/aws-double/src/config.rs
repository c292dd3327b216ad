//! What a double is told: listener, settings, roles. Plain data, shared by the library, the binary and the admin API.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The access key id that a double knows unless told otherwise. It is the example of the AWS documentation.
pub const DEFAULT_ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// A secret key to go with [`DEFAULT_ACCESS_KEY_ID`]; the double accepts any.
pub const DEFAULT_SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The ARN behind [`DEFAULT_ACCESS_KEY_ID`].
pub const DEFAULT_IDENTITY_ARN: &str = "arn:aws:iam::123456789012:user/double";

/// The regions that a double knows unless told otherwise: those that are on in an ordinary account, the common opt-in ones, China
/// and the government ones.
pub const DEFAULT_REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// An IAM role and whom it trusts. An empty list trusts nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `arn:aws:iam::<account>:role/<name>`.
    pub arn: String,
    /// Audiences (`aud`) of web identity tokens that may assume the role, compared exactly.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Subjects (`sub`) of web identity tokens that may assume the role; `*` stands for any characters.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// ARNs of users and roles that may call `AssumeRole`; a role stands for all of its sessions, `*` for any characters.
    #[serde(default)]
    pub principals: Vec<String>,
    /// The `ExternalId` that `AssumeRole` must carry, if any.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Longest session in seconds. AWS allows 3,600 (the default) to 43,200.
    #[serde(default = "hour")]
    pub max_session_seconds: u64,
}

fn hour() -> u64 {
    3600
}

impl Role {
    /// A role that trusts nobody yet, with sessions of at most one hour.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            audiences: Vec::new(),
            subjects: Vec::new(),
            principals: Vec::new(),
            external_id: None,
            max_session_seconds: hour(),
        }
    }

    /// Trusts web identity tokens of this audience and subject (`*` in the subject stands for any characters).
    #[must_use]
    pub fn trust_web_identity(
        mut self,
        audience: impl Into<String>,
        subject: impl Into<String>,
    ) -> Self {
        self.audiences.push(audience.into());
        self.subjects.push(subject.into());
        self
    }

    /// Trusts `AssumeRole` by this user or role (`*` stands for any characters).
    #[must_use]
    pub fn trust_principal(mut self, arn: impl Into<String>) -> Self {
        self.principals.push(arn.into());
        self
    }
}

/// What a double does by itself, without faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Life of an authorization token in seconds, with fractions. Default 43,200 (12 h), as at AWS.
    #[serde(rename = "token_life_seconds", with = "seconds")]
    pub token_life: Duration,
    /// Life of temporary credentials in seconds, whatever the caller asked for. Default: what the caller asked for.
    #[serde(rename = "session_life_seconds", with = "optional_seconds")]
    pub session_life: Option<Duration>,
    /// Least length of a password in bytes; the content needs some 300. Default 1,900.
    pub password_bytes: usize,
    /// Regions that exist. A call for another one is refused.
    pub regions: BTreeSet<String>,
    /// Calls that the log keeps; older ones are dropped. Default 10,000.
    pub log_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_life: Duration::from_hours(12),
            session_life: None,
            password_bytes: 1900,
            regions: DEFAULT_REGIONS.iter().map(|&r| r.to_owned()).collect(),
            log_limit: 10_000,
        }
    }
}

/// A change of [`Settings`]: what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsChange {
    /// New life of authorization tokens in seconds. Tokens already issued keep theirs.
    #[serde(
        rename = "token_life_seconds",
        with = "optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_life: Option<Duration>,
    /// New life of temporary credentials in seconds; zero gives the choice back to the caller.
    #[serde(
        rename = "session_life_seconds",
        with = "optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_life: Option<Duration>,
    /// New least length of passwords in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_bytes: Option<usize>,
    /// The new list of regions that exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<BTreeSet<String>>,
}

impl Settings {
    /// Carries a change out.
    pub fn apply(&mut self, change: SettingsChange) {
        if let Some(life) = change.token_life {
            self.token_life = life;
        }
        if let Some(life) = change.session_life {
            self.session_life = (!life.is_zero()).then_some(life);
        }
        if let Some(bytes) = change.password_bytes {
            self.password_bytes = bytes;
        }
        if let Some(regions) = change.regions {
            self.regions = regions;
        }
    }
}

/// How a double starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// See [`Settings`].
    pub settings: Settings,
    /// Static access key ids and the ARNs behind them. Default: [`DEFAULT_ACCESS_KEY_ID`].
    pub identities: BTreeMap<String, String>,
    /// Roles that can be assumed. Default: none.
    pub roles: Vec<Role>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            settings: Settings::default(),
            identities: BTreeMap::from([(
                DEFAULT_ACCESS_KEY_ID.into(),
                DEFAULT_IDENTITY_ARN.into(),
            )]),
            roles: Vec::new(),
        }
    }
}

/// A [`Duration`] as a JSON number of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// An optional [`Duration`] as a JSON number of seconds, or null.
mod optional_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_f64(value.as_secs_f64()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(from)?
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(D::Error::custom)
    }
}
