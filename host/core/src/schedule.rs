//! When a token is renewed.
//!
//! Renewal happens at the earliest of three times: the issue of the token plus `frequency`, the
//! policy's time, and a safety point well before the token dies. Age counts from the token's issue,
//! not from when a Secret was written, so a Secret that got a shared token late is renewed in time.
//! Only the floor may delay a renewal, and the floor never lies behind the safety point.

use std::hash::{DefaultHasher, Hash, Hasher};

use ecr_policy_model::Refresh;
use jiff::{SignedDuration, Timestamp};

use crate::duration::parse_go_duration;
use crate::reason::Reason;
use crate::token::TokenWindow;

/// The renewal interval when a resource names none. ECR tokens live 12 h.
pub const DEFAULT_FREQUENCY: SignedDuration = SignedDuration::from_hours(10);
/// No resource is renewed more often than this, whoever asks, unless its tokens live shorter still.
pub const SHORTEST_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

/// A token is renewed when this share of its life is over, at the latest: 10 h 30 min of 12 h.
/// In cn-north-1 tokens have been refused at 11 h 38 min already.
const SAFE_EIGHTHS: i32 = 7;
/// A fleet is spread over this part of its interval: one twentieth, 30 min of 10 h.
const JITTER_PART: i32 = 20;
/// The floor is never later than this part of the token's life: one quarter.
const FLOOR_PART: i32 = 4;

impl TokenWindow {
    /// How long the token lives; zero when the times are the wrong way round.
    pub fn life(self) -> SignedDuration {
        self.expires_at
            .duration_since(self.issued_at)
            .max(SignedDuration::ZERO)
    }

    /// The latest time at which the token may still be in use, UTC.
    pub fn safe_until(self) -> Timestamp {
        later(self.issued_at, self.life() / 8 * SAFE_EIGHTHS)
    }
}

/// What the resource's `frequency` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// The longest time between two renewals; none when the field is a mistake, so that only the
    /// token's own life counts.
    pub interval: Option<SignedDuration>,
    /// What was wrong with the field.
    pub adjusted: Option<Adjusted>,
}

/// Something that the host corrected in what a user or a policy asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjusted {
    /// The stable word.
    pub reason: Reason,
    /// One line for people: what was asked, what is done instead.
    pub message: String,
}

impl Frequency {
    /// Reads `spec.frequency`. Never fails: a resource with an odd frequency still gets its Secret.
    pub fn from_spec(text: Option<&str>) -> Self {
        let Some(text) = text else {
            return Self {
                interval: Some(DEFAULT_FREQUENCY),
                adjusted: None,
            };
        };
        let invalid = |why: String| Self {
            interval: None,
            adjusted: Some(Adjusted {
                reason: Reason::InvalidFrequency,
                message: format!(
                    "{why}; the token's own expiry decides until spec.frequency is a duration such as 10h"
                ),
            }),
        };
        match parse_go_duration(text) {
            Err(error) => invalid(format!("spec.frequency: {error}")),
            Ok(interval) if interval <= SignedDuration::ZERO => {
                invalid(format!("spec.frequency {text} is not positive"))
            }
            Ok(interval) if interval < SHORTEST_INTERVAL => Self {
                interval: Some(SHORTEST_INTERVAL),
                adjusted: Some(Adjusted {
                    reason: Reason::InvalidFrequency,
                    message: format!(
                        "spec.frequency {text} is shorter than 10s, which is used instead"
                    ),
                }),
            },
            Ok(interval) => Self {
                interval: Some(interval),
                adjusted: None,
            },
        }
    }

    /// The interval as a policy sees it, in whole seconds, at least 1.
    pub fn seconds(&self) -> u64 {
        let interval = self.interval.unwrap_or(DEFAULT_FREQUENCY);
        u64::try_from(interval.as_secs()).unwrap_or(1).max(1)
    }
}

/// When a token is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The time of the renewal, UTC.
    pub refresh_at: Timestamp,
    /// What was corrected on the way: the policy's time, else the frequency.
    pub adjusted: Option<Adjusted>,
}

/// Computes the renewal of a token. `seed` names the resource, so that a fleet does not move as one.
pub fn schedule(
    window: TokenWindow,
    frequency: &Frequency,
    refresh: Refresh,
    seed: &str,
) -> Schedule {
    let safe = window.safe_until();
    let floor = later(
        window.issued_at,
        SHORTEST_INTERVAL.min(window.life() / FLOOR_PART),
    );
    let by_frequency = frequency
        .interval
        .map_or(safe, |interval| later(window.issued_at, interval).min(safe));
    let spread = by_frequency.duration_since(window.issued_at) / JITTER_PART;
    let by_frequency = earlier(by_frequency, share(spread, seed, window.issued_at)).max(floor);

    let asked = match refresh {
        Refresh::HostDefault => None,
        Refresh::At(at) => Some(from_epoch(at)),
        Refresh::AfterIssue(seconds) => Some(later(window.issued_at, from_seconds(seconds))),
        Refresh::BeforeExpiry(seconds) => Some(earlier(window.expires_at, from_seconds(seconds))),
    };
    let Some(asked) = asked else {
        return Schedule {
            refresh_at: by_frequency,
            adjusted: frequency.adjusted.clone(),
        };
    };
    let clamped = asked.clamp(floor, safe);
    let adjusted = (clamped != asked).then(|| Adjusted {
        reason: Reason::RefreshTimeClamped,
        message: format!("the policy asked for a refresh at {asked:.0}, outside of {floor:.0} to {safe:.0}, which is what this token allows"),
    });
    // Without jitter: a policy that says a time means it. `frequency` stays an upper bound.
    let bound = frequency
        .interval
        .map_or(safe, |interval| later(window.issued_at, interval).min(safe))
        .max(floor);
    Schedule {
        refresh_at: clamped.min(bound),
        adjusted: adjusted.or_else(|| frequency.adjusted.clone()),
    }
}

/// The oldest issue that a token for this resource may have, when one is needed now.
///
/// Half of the interval: young enough that the next renewal is not due at once, old enough that a
/// fleet shares one token.
pub fn oldest_issue(
    now: Timestamp,
    frequency: &Frequency,
    refresh: Refresh,
    life: SignedDuration,
) -> Timestamp {
    let window = TokenWindow {
        issued_at: now,
        expires_at: later(now, life),
    };
    let plan = schedule(window, frequency, refresh, "");
    earlier(now, plan.refresh_at.duration_since(now) / 2)
}

/// A stable part of `whole`, from nothing to nearly all of it.
fn share(whole: SignedDuration, seed: &str, issued_at: Timestamp) -> SignedDuration {
    let mut hasher = DefaultHasher::new();
    (seed, issued_at.as_second()).hash(&mut hasher);
    let thousandths = i32::try_from(hasher.finish() % 1000).unwrap_or(0);
    whole / 1000 * thousandths
}

fn from_seconds(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn from_epoch(seconds: u64) -> Timestamp {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `time + by`, or the end of time.
fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// `time - by`, or the beginning of time.
fn earlier(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
