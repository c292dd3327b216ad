//! Authorization tokens: passwords of realistic length that tell where they come from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a password comes from. Read it back with [`issued`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Counts all tokens of one double from 1. No two answers share a number.
    pub number: u64,
    /// `ecr` or `ecr-public`.
    pub service: String,
    /// Region of the call.
    pub region: String,
    /// ARN of the caller.
    pub identity: String,
    /// When it was issued, by the double's clock.
    pub issued_at: Timestamp,
    /// When it ends, by the double's clock. What an answer says is the same, unless a fault bends it.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(flatten)]
    issued: Issued,
    datakey: String,
}

/// Makes the password: base64 of JSON, as at AWS, at least `bytes` long unless the content alone is longer.
pub(crate) fn password(issued: &Issued, bytes: usize) -> String {
    let make = |fill: usize| {
        let payload = Payload {
            issued: issued.clone(),
            datakey: noise(issued.number, fill),
        };
        STANDARD.encode(serde_json::to_vec(&payload).unwrap_or_default())
    };
    let bare = make(0).len();
    if bare >= bytes {
        make(0)
    } else {
        make((bytes - bare).div_ceil(4) * 3)
    }
}

/// Letters and digits that look random and differ from number to number, so that nothing compresses or compares by luck.
pub(crate) fn noise(seed: u64, length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        // xorshift64: good enough to look random, and the same on every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..length).map(|_| next()).collect()
}

/// Reads where a password comes from; also takes the whole token (base64 of `AWS:<password>`).
///
/// `None` when the text was not issued by a double.
///
/// ```
/// assert_eq!(aws_double::issued("hunter2"), None);
/// ```
pub fn issued(text: &str) -> Option<Issued> {
    let decoded = STANDARD.decode(text).ok()?;
    if let Some(password) = decoded.strip_prefix(b"AWS:") {
        return issued(std::str::from_utf8(password).ok()?);
    }
    serde_json::from_slice::<Payload>(&decoded)
        .ok()
        .map(|p| p.issued)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(number: u64) -> Issued {
        Issued {
            number,
            service: "ecr".into(),
            region: "eu-west-1".into(),
            identity: "arn:aws:iam::123456789012:user/double".into(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::MAX,
        }
    }

    #[test]
    fn a_password_has_the_asked_length_and_tells_its_origin() {
        for bytes in [600, 1900, 2701] {
            let password = password(&sample(7), bytes);
            assert!(
                (bytes..bytes + 8).contains(&password.len()),
                "{bytes}: {}",
                password.len()
            );
            assert_eq!(issued(&password), Some(sample(7)));
            assert_eq!(
                issued(&STANDARD.encode(format!("AWS:{password}"))),
                Some(sample(7))
            );
        }
    }

    #[test]
    fn a_password_is_never_shorter_than_its_content() {
        assert_eq!(issued(&password(&sample(1), 0)), Some(sample(1)));
    }

    #[test]
    fn no_two_numbers_share_a_password() {
        assert_ne!(password(&sample(1), 1900), password(&sample(2), 1900));
    }
}
