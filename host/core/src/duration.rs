//! Durations exactly as Go reads and writes them.
//!
//! `spec.frequency` was parsed by Go's `time.ParseDuration` and has to mean the same here, to the
//! nanosecond and to the refused string. So this follows Go's rules where they surprise: integers
//! overflow at 2^63, fractions stop accumulating precision, and a sum that reaches exactly 2^64 ns
//! wraps to zero.

use std::fmt;

use jiff::SignedDuration;

/// Why a text is no Go duration. It prints what Go prints, without the leading `time: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is malformed, or longer than 2^63 - 1 ns (about 292 years).
    #[error("invalid duration {}", Quoted(.0))]
    Invalid(String),
    /// A number has no unit behind it.
    #[error("missing unit in duration {}", Quoted(.0))]
    MissingUnit(String),
    /// A unit is none of `ns`, `us`, `µs`, `ms`, `s`, `m`, `h`.
    #[error("unknown unit {} in duration {}", Quoted(.unit), Quoted(.duration))]
    UnknownUnit {
        /// What stands where a unit should.
        unit: String,
        /// The whole text.
        duration: String,
    },
}

const OVERFLOW: u64 = 1 << 63;

/// Reads a Go duration such as `10h`, `1h30m`, `-1.5s` or `300ms`.
///
/// # Errors
/// Exactly when Go's `time.ParseDuration` fails. Zero and negative durations are fine here.
pub fn parse_go_duration(text: &str) -> Result<SignedDuration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(digits(rest));
        let mut value = integer(digits).ok_or_else(invalid)?;
        rest = after;
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            (fraction, rest) = after.split_at(self::digits(after));
        }
        if digits.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = rest
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        if name.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let unit = unit(name).ok_or_else(|| DurationError::UnknownUnit {
            unit: name.to_owned(),
            duration: text.to_owned(),
        })?;
        if value > OVERFLOW / unit {
            return Err(invalid());
        }
        value *= unit;
        value += fraction_of(fraction, unit);
        if value > OVERFLOW {
            return Err(invalid());
        }
        sum = sum.wrapping_add(value);
        if sum > OVERFLOW {
            return Err(invalid());
        }
    }
    match (negative, i64::try_from(sum)) {
        (false, Ok(nanos)) => Ok(SignedDuration::from_nanos(nanos)),
        (true, Ok(nanos)) => Ok(SignedDuration::from_nanos(-nanos)),
        (true, Err(_)) => Ok(SignedDuration::from_nanos(i64::MIN)),
        (false, Err(_)) => Err(invalid()),
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The number that the digits stand for; none when it is above 2^63.
fn integer(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0_u64, |number, digit| {
        let next = number
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
        (next <= OVERFLOW).then_some(next)
    })
}

/// The fraction `0.<digits>` of a unit, in ns, by the same floating point steps as in Go.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Go's arithmetic"
)]
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let (mut number, mut scale) = (0_u64, 1.0_f64);
    for digit in digits.bytes() {
        if number > (OVERFLOW - 1) / 10 {
            break;
        }
        let next = number * 10 + u64::from(digit - b'0');
        if next > OVERFLOW {
            break;
        }
        number = next;
        scale *= 10.0;
    }
    (number as f64 * (unit as f64 / scale)) as u64
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // U+00B5, the micro sign, and U+03BC, the Greek letter
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    })
}

/// Quotes as Go's time package does: bytes that are no printable ASCII as `\xNN`.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for byte in self.0.bytes() {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b' '..=0x7f => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_str("\"")
    }
}

/// Writes a duration as Go's `Duration.String` does: `10h0m0s`, `1.5s`, `300ms`, `0s`.
///
/// Durations that Go cannot hold (beyond about 292 years) are written by the same rules.
pub fn format_go_duration(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let total = duration.as_nanos().unsigned_abs();
    let decimal = |unit: u128, value: u128, name: &str| {
        let (whole, rest) = (value / unit, value % unit);
        // As many digits as the unit has zeros, then without trailing zeros.
        let width = unit.ilog10() as usize;
        let rest = if width == 0 {
            String::new()
        } else {
            format!(".{rest:0width$}")
        };
        format!(
            "{whole}{}{name}",
            rest.trim_end_matches('0').trim_end_matches('.')
        )
    };
    let text = match total {
        0 => "0s".to_owned(),
        1..1_000 => decimal(1, total, "ns"),
        1_000..1_000_000 => decimal(1_000, total, "µs"),
        1_000_000..1_000_000_000 => decimal(1_000_000, total, "ms"),
        _ => {
            let minutes = total / 60_000_000_000;
            let seconds = decimal(1_000_000_000, total % 60_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Row {
        #[serde(rename = "in")]
        input: String,
        nanos: Option<i64>,
        string: Option<String>,
        error: Option<String>,
    }

    #[test]
    fn every_string_of_the_table_means_what_it_means_to_go() {
        let rows: Vec<Row> =
            serde_json::from_str(include_str!("../tests/fixtures/go-durations.json")).unwrap();
        assert!(rows.len() > 500);
        for row in rows {
            match parse_go_duration(&row.input) {
                Ok(duration) => {
                    let nanos = i64::try_from(duration.as_nanos()).unwrap();
                    assert_eq!(
                        (Some(nanos), None),
                        (row.nanos, row.error),
                        "{:?}",
                        row.input
                    );
                    assert_eq!(
                        Some(format_go_duration(duration)),
                        row.string,
                        "{:?}",
                        row.input
                    );
                }
                Err(error) => {
                    assert_eq!(Some(format!("time: {error}")), row.error, "{:?}", row.input);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanos: i64) {
            let duration = SignedDuration::from_nanos(nanos);
            prop_assert_eq!(parse_go_duration(&format_go_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*", near in "[-+]?([0-9]{0,22}\\.?[0-9]{0,22}(ns|us|µs|ms|s|m|h|x)?){0,4}") {
            for text in [text, near] {
                if let Err(error) = parse_go_duration(&text) {
                    prop_assert!(!error.to_string().contains('\n'));
                }
            }
        }

        #[test]
        fn a_sign_turns_the_duration_round(text in "[0-9]{1,9}(ns|us|ms|s|m|h)") {
            if let Ok(duration) = parse_go_duration(&text) {
                prop_assert_eq!(parse_go_duration(&format!("+{text}")), Ok(duration));
                prop_assert_eq!(parse_go_duration(&format!("-{text}")), Ok(-duration));
            }
        }

        #[test]
        fn parts_add_up(hours in 0_i64..1_000_000, minutes in 0_i64..1_000_000, seconds in 0_i64..1_000_000) {
            let expected = SignedDuration::from_secs(hours * 3600 + minutes * 60 + seconds);
            prop_assert_eq!(parse_go_duration(&format!("{hours}h{minutes}m{seconds}s")), Ok(expected));
        }
    }

    #[test]
    fn the_longest_durations_can_be_written() {
        assert_eq!(
            format_go_duration(SignedDuration::from_nanos(i64::MIN)),
            "-2562047h47m16.854775808s"
        );
        assert!(format_go_duration(SignedDuration::MAX).ends_with("h30m7.999999999s"));
        assert!(format_go_duration(SignedDuration::MIN).starts_with('-'));
    }
}
