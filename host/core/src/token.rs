//! A token, and the window of its life.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use kube::core::ObjectMeta;

use crate::api::{TOKEN_EXPIRES_AT, TOKEN_ISSUED_AT};

/// The life of one token, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenWindow {
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When the token dies.
    pub expires_at: Timestamp,
}

impl TokenWindow {
    /// The window that a generated Secret's annotations tell; none when one is absent or garbled.
    pub fn from_annotations(meta: &ObjectMeta) -> Option<Self> {
        let annotations = meta.annotations.as_ref()?;
        let time = |key: &str| annotations.get(key)?.parse().ok();
        Some(Self {
            issued_at: time(TOKEN_ISSUED_AT)?,
            expires_at: time(TOKEN_EXPIRES_AT)?,
        })
    }

    /// The window as a policy sees it; times before 1970 become 1970.
    pub fn to_model(self) -> ecr_policy_model::TokenWindow {
        ecr_policy_model::TokenWindow {
            issued_at: seconds(self.issued_at),
            expires_at: seconds(self.expires_at),
        }
    }

    /// The window of a policy's request.
    ///
    /// # Errors
    /// When a time lies beyond the year 9999.
    pub fn from_model(window: ecr_policy_model::TokenWindow) -> Result<Self, jiff::Error> {
        let time =
            |seconds: u64| Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX));
        Ok(Self {
            issued_at: time(window.issued_at)?,
            expires_at: time(window.expires_at)?,
        })
    }
}

/// Whole seconds since the Unix epoch, as policies count; times before 1970 become 0.
pub fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

/// An ECR token. Cloning it does not copy the password.
///
/// The password leaves only through [`Token::expose_password`]: nothing prints or serialises it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    password: Arc<str>,
    window: TokenWindow,
}

impl Token {
    /// A token with its password, the part behind `AWS:`, and its life, UTC.
    pub fn new(password: impl Into<Arc<str>>, issued_at: Timestamp, expires_at: Timestamp) -> Self {
        let window = TokenWindow {
            issued_at,
            expires_at,
        };
        Self {
            password: password.into(),
            window,
        }
    }

    /// The password, to be written into a Secret and nowhere else.
    pub fn expose_password(&self) -> &str {
        &self.password
    }

    /// When the token was issued.
    pub fn issued_at(&self) -> Timestamp {
        self.window.issued_at
    }

    /// When the token dies.
    pub fn expires_at(&self) -> Timestamp {
        self.window.expires_at
    }

    /// Both times.
    pub fn window(&self) -> TokenWindow {
        self.window
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("password", &format_args!("[redacted]"))
            .field("window", &self.window)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    fn window() -> TokenWindow {
        TokenWindow {
            issued_at: "2026-01-31T00:00:00Z".parse().unwrap(),
            expires_at: "2026-01-31T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::new("hunter2", window().issued_at, window().expires_at);
        for text in [
            format!("{token:?}"),
            format!("{token:#?}"),
            format!("{:?}", Some(&token)),
        ] {
            assert!(!text.contains("hunter2"), "{text}");
            assert!(
                text.contains("[redacted]") && text.contains("2026-01-31T12:00:00Z"),
                "{text}"
            );
        }
        assert_eq!(token.expose_password(), "hunter2");
        assert_eq!(
            (token.issued_at(), token.expires_at()),
            (window().issued_at, window().expires_at)
        );
    }

    #[test]
    fn a_policy_counts_in_seconds() {
        let model = window().to_model();
        assert_eq!(model.expires_at - model.issued_at, 12 * 3600);
        assert_eq!(TokenWindow::from_model(model).unwrap(), window());
        assert_eq!(seconds(Timestamp::MIN), 0);
        let far = ecr_policy_model::TokenWindow {
            issued_at: 0,
            expires_at: u64::MAX,
        };
        TokenWindow::from_model(far).unwrap_err();
    }

    #[test]
    fn the_window_is_read_from_annotations_only_when_both_are_good() {
        let meta = |issued: &str, expires: Option<&str>| ObjectMeta {
            annotations: Some(
                [(TOKEN_ISSUED_AT, Some(issued)), (TOKEN_EXPIRES_AT, expires)]
                    .into_iter()
                    .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
                    .collect(),
            ),
            ..ObjectMeta::default()
        };
        let good = meta("2026-01-31T00:00:00Z", Some("2026-01-31T12:00:00Z"));
        assert_eq!(TokenWindow::from_annotations(&good), Some(window()));
        assert_eq!(
            TokenWindow::from_annotations(&meta("yesterday", Some("2026-01-31T12:00:00Z"))),
            None
        );
        assert_eq!(
            TokenWindow::from_annotations(&meta("2026-01-31T00:00:00Z", None)),
            None
        );
        assert_eq!(TokenWindow::from_annotations(&ObjectMeta::default()), None);
    }
}
