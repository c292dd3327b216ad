//! From what ECR answered to a token, or to the reason why it is none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::token::Token;
use jiff::Timestamp;

/// One entry of an answer, as it came. Not printable, it holds a password.
pub(super) struct Entry {
    /// base64 of `AWS:<password>`.
    pub(super) token: Option<String>,
    /// `expiresAt` as seconds since the epoch and nanoseconds.
    pub(super) expires_at: Option<(i64, u32)>,
}

/// Makes a token of the first good entry.
///
/// ECR gives one entry unless it is asked for several registries, which the broker never does. Should
/// there be more, every one of them opens every registry of the region, so the first that is a token
/// will do.
///
/// # Errors
/// What is wrong with the first entry, or that there is none.
pub(super) fn token(
    entries: Vec<Entry>,
    issued_at: Timestamp,
    now: Timestamp,
) -> Result<Token, &'static str> {
    let mut first_fault = None;
    for entry in entries {
        match one(entry, issued_at, now) {
            Ok(token) => return Ok(token),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    Err(first_fault.unwrap_or("the list of tokens is empty"))
}

fn one(entry: Entry, issued_at: Timestamp, now: Timestamp) -> Result<Token, &'static str> {
    let encoded = entry.token.ok_or("the answer has no authorizationToken")?;
    let (seconds, nanoseconds) = entry.expires_at.ok_or("the token has no expiresAt")?;
    let decoded = STANDARD
        .decode(encoded.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or("the token is not base64 of text")?;
    // The password may hold colons, the user does not.
    let (user, password) = decoded
        .split_once(':')
        .ok_or("the token has no colon between user and password")?;
    if user != "AWS" {
        return Err("the token's user is not AWS");
    }
    if password.is_empty() || password.chars().any(char::is_control) {
        return Err("the token's password is empty or not printable");
    }
    let expires_at = i32::try_from(nanoseconds)
        .ok()
        .and_then(|nanoseconds| Timestamp::new(seconds, nanoseconds).ok())
        .ok_or("the token's expiresAt is not a time")?;
    if expires_at <= now {
        return Err("the token has expired already; check the clock of the node");
    }
    Ok(Token::new(password, issued_at, expires_at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::{Entry, token};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use jiff::Timestamp;

    const NOW: i64 = 1_000_000;

    fn entry(text: &str, expires_at: i64) -> Entry {
        Entry {
            token: Some(STANDARD.encode(text)),
            expires_at: Some((expires_at, 0)),
        }
    }

    fn read(entries: Vec<Entry>) -> Result<(String, i64), &'static str> {
        let now = Timestamp::from_second(NOW).unwrap();
        token(entries, now, now).map(|token| {
            (
                token.expose_password().to_owned(),
                token.expires_at().as_second(),
            )
        })
    }

    #[test]
    fn a_password_may_hold_colons() {
        assert_eq!(
            read(vec![entry("AWS:a:b:", NOW + 60)]),
            Ok(("a:b:".to_owned(), NOW + 60))
        );
    }

    #[test]
    fn what_is_not_a_living_token_is_refused() {
        let raw = |text: &str| Entry {
            token: Some(text.to_owned()),
            expires_at: Some((NOW + 60, 0)),
        };
        for (entries, fault) in [
            (vec![], "empty"),
            (
                vec![Entry {
                    token: None,
                    expires_at: Some((NOW + 60, 0)),
                }],
                "no authorizationToken",
            ),
            (
                vec![Entry {
                    token: Some("QVdTOmE=".into()),
                    expires_at: None,
                }],
                "no expiresAt",
            ),
            (vec![raw("%%%")], "not base64"),
            (
                vec![raw(&STANDARD.encode([0xff, 0xfe]))],
                "not base64 of text",
            ),
            (vec![entry("AWS", NOW + 60)], "no colon"),
            (vec![entry("root:a", NOW + 60)], "user is not AWS"),
            (vec![entry("AWS:", NOW + 60)], "password is empty"),
            (vec![entry("AWS:a\nb", NOW + 60)], "not printable"),
            (vec![entry("AWS:a", NOW)], "expired already"),
            (vec![entry("AWS:a", i64::MAX)], "not a time"),
        ] {
            let found = read(entries).unwrap_err();
            assert!(found.contains(fault), "{found} is not {fault}");
        }
    }

    #[test]
    fn of_several_entries_the_first_good_one_counts() {
        assert_eq!(
            read(vec![
                entry("AWS:dead", NOW - 1),
                entry("AWS:a", NOW + 60),
                entry("AWS:b", NOW + 60)
            ]),
            Ok(("a".to_owned(), NOW + 60))
        );
        assert!(
            read(vec![entry("AWS:dead", NOW - 1), entry("x", NOW + 1)])
                .unwrap_err()
                .contains("expired")
        );
    }
}
