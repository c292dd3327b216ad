//! A token bucket on monotonic time: the double's clock can be moved, a rate cannot.

use tokio::time::Instant;

/// Holds at most `burst` permits and gains `per_second` of them each second.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    permits: f64,
    last: Instant,
}

impl Bucket {
    /// A full bucket. A rate that is negative or not a number counts as zero.
    pub(crate) fn full(per_second: f64, burst: u32, now: Instant) -> Self {
        Self {
            per_second: per_second.max(0.0),
            burst: burst.into(),
            permits: burst.into(),
            last: now,
        }
    }

    /// Takes one permit if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.last).as_secs_f64() * self.per_second;
        self.permits = (self.permits + gained).min(self.burst);
        self.last = now;
        if self.permits < 1.0 {
            return false;
        }
        self.permits -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(2.0, 3, start);
        assert_eq!(
            [(); 4].map(|()| bucket.take(start)),
            [true, true, true, false]
        );
        let later = start + Duration::from_millis(500);
        assert_eq!([(); 2].map(|()| bucket.take(later)), [true, false]);
        let much_later = start + Duration::from_mins(1);
        assert_eq!(
            [(); 4].map(|()| bucket.take(much_later)),
            [true, true, true, false]
        );
    }

    #[test]
    fn a_rate_that_is_no_number_never_refills() {
        let start = Instant::now();
        let mut bucket = Bucket::full(f64::NAN, 1, start);
        assert!(bucket.take(start));
        assert!(!bucket.take(start + Duration::from_hours(1)));
    }
}
