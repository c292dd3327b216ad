//! A point in time as Kubernetes stores it.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A UTC time in whole seconds, written as RFC 3339 (`2026-01-31T09:30:00Z`).
///
/// A status that went through the API server has lost its fractions. This type loses them at once,
/// so that what was computed and what was stored compare equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

impl Time {
    /// The point in time, without fraction.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Time {
    /// Cuts to the second before; a time within the first second that jiff can hold stays as it is.
    fn from(time: Timestamp) -> Self {
        let whole = if time.subsec_nanosecond() < 0 {
            time.as_second() - 1
        } else {
            time.as_second()
        };
        Self(Timestamp::from_second(whole).unwrap_or(time))
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Self {
        time.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn fractions_are_cut_before_anything_is_compared_or_written() {
        let time = Time::from(
            "2026-01-31T09:30:00.987654321Z"
                .parse::<Timestamp>()
                .unwrap(),
        );
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            r#""2026-01-31T09:30:00Z""#
        );
        assert_eq!(
            time,
            serde_json::from_str(r#""2026-01-31T09:30:00Z""#).unwrap()
        );
        assert_eq!(
            time,
            serde_json::from_str(r#""2026-01-31T10:30:00.5+01:00""#).unwrap()
        );
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for time in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            let cut = Time::from(time);
            assert!(cut.timestamp() <= time);
            assert_eq!(Time::from(cut.timestamp()), cut);
        }
        let before_1970 = "1969-12-31T23:59:58.5Z".parse::<Timestamp>().unwrap();
        assert_eq!(Time::from(before_1970).to_string(), "1969-12-31T23:59:58Z");
    }
}
