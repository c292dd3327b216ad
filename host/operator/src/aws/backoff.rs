//! How long a key is left alone after a failure: a pure calculation.

use jiff::{SignedDuration, Timestamp};

/// The shortest and the longest wait, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The wait after the first failure.
    pub first: u32,
    /// The wait is doubled with every further failure, up to this.
    pub longest: u32,
}

/// How to wait after failures that pass by themselves and after those that do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After failures that may pass: throttling, the network, errors inside AWS.
    pub passing: Waits,
    /// After failures that somebody has to mend: permissions, keys, a region that does not exist.
    pub lasting: Waits,
}

impl Default for Backoff {
    /// 1 s up to 5 min for what passes, 10 s up to 10 min for what lasts.
    fn default() -> Self {
        Self {
            passing: Waits {
                first: 1,
                longest: 300,
            },
            lasting: Waits {
                first: 10,
                longest: 600,
            },
        }
    }
}

impl Backoff {
    /// When to try again after `failures` failures in a row, the last one at `now`.
    ///
    /// Jitter shortens the wait by up to a quarter, so that keys that failed together come back one
    /// by one. Equal seeds give equal times.
    pub fn retry_at(
        &self,
        now: Timestamp,
        waiting_helps: bool,
        failures: u32,
        seed: u64,
    ) -> Timestamp {
        let waits = if waiting_helps {
            self.passing
        } else {
            self.lasting
        };
        // 2^32 doublings are far above every limit.
        let doublings = failures.saturating_sub(1).min(31);
        let longest = u64::from(waits.longest) * 1000;
        let wait = (u64::from(waits.first) * 1000)
            .saturating_mul(1 << doublings)
            .min(longest);
        let jitter = mix(seed ^ u64::from(failures)) % (wait / 4 + 1);
        let wait = i64::try_from(wait - jitter).unwrap_or(i64::MAX);
        now.saturating_add(SignedDuration::from_millis(wait))
            .unwrap_or(Timestamp::MAX)
    }
}

/// Spreads a seed over all bits (the finalizer of `SplitMix64`).
const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::Backoff;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn wait(waiting_helps: bool, failures: u32, seed: u64) -> i64 {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = Backoff::default().retry_at(now, waiting_helps, failures, seed);
        at.duration_since(now).as_millis().try_into().unwrap()
    }

    #[test]
    fn waits_double_from_the_first_to_the_longest() {
        for (waiting_helps, failures, most) in [
            (true, 1, 1_000),
            (true, 2, 2_000),
            (true, 9, 256_000),
            (true, 10, 300_000),
            (true, u32::MAX, 300_000),
            (false, 1, 10_000),
            (false, 3, 40_000),
            (false, 7, 600_000),
            (false, u32::MAX, 600_000),
        ] {
            for seed in 0..50 {
                let wait = wait(waiting_helps, failures, seed);
                assert!((most * 3 / 4..=most).contains(&wait), "{wait} of {most}");
            }
        }
    }

    #[test]
    fn the_seed_decides_about_the_jitter() {
        assert_eq!(wait(true, 5, 7), wait(true, 5, 7));
        let waits: std::collections::BTreeSet<i64> =
            (0..100).map(|seed| wait(true, 5, seed)).collect();
        assert!(waits.len() > 90, "{} different waits", waits.len());
    }

    proptest! {
        #[test]
        fn no_number_of_failures_waits_in_the_past_or_too_long(
            failures: u32, seed: u64, waiting_helps: bool
        ) {
            let wait = wait(waiting_helps, failures, seed);
            prop_assert!(wait > 0 && wait <= 600_000);
        }
    }
}
