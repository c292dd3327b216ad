//! The one time that is in an image.

use anyhow::{Context, Result};
use jiff::Timestamp;
use std::env;

/// What `SOURCE_DATE_EPOCH` says, see <https://reproducible-builds.org/specs/source-date-epoch>; without it 1970.
#[derive(Clone, Copy, Default)]
pub(super) struct Epoch(Timestamp);

impl Epoch {
    /// # Errors
    /// The variable is no number of seconds.
    pub(super) fn from_environment() -> Result<Self> {
        match env::var_os("SOURCE_DATE_EPOCH") {
            Some(text) => Self::parse(&text.to_string_lossy()),
            None => Ok(Self::default()),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let remedy =
            || format!("SOURCE_DATE_EPOCH is {text:?}: give the seconds since 1970, or unset it");
        let seconds: u32 = text.parse().with_context(remedy)?;
        let time = Timestamp::from_second(seconds.into()).with_context(remedy)?;
        Ok(Self(time))
    }

    /// As tar wants it.
    pub(super) fn seconds(self) -> u64 {
        self.0.as_second().unsigned_abs() // never negative
    }

    /// As JSON wants it, by RFC 3339.
    pub(super) fn timestamp(self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn seconds_are_a_time_and_words_are_refused_by_name() {
        let epoch = Epoch::parse("1700000000").unwrap();
        assert_eq!(epoch.seconds(), 1_700_000_000);
        assert_eq!(epoch.timestamp(), "2023-11-14T22:13:20Z");
        assert_eq!(Epoch::default().timestamp(), "1970-01-01T00:00:00Z");
        let error = Epoch::parse("yesterday").map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("SOURCE_DATE_EPOCH"), "{error}");
    }
}
