//! What belongs to one evaluation: its limiter, its log, its clock and its random numbers.

use ecr_policy_model::Request;
use wasmtime::ResourceLimiter;

use crate::{EvaluationError, Limits, limits::wide};

/// The data of a store.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl State {
    pub(crate) fn new(limits: &Limits, request: &Request) -> Self {
        Self {
            limiter: Limiter::new(limits),
            log: Log::new(limits.log_bytes),
            clock: Clock {
                now: request.now,
                monotonic: 0,
            },
            random: Random::of(request),
        }
    }
}

/// Counts memory and tables over the whole store; wasmtime's own limits are for each memory by itself.
///
/// A growth beyond a limit ends the guest at once with a typed error. The alternative, to let the growth
/// fail, ends in the guest's own out-of-memory handling, which nobody can tell from other panics.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    table_limit: usize,
    instances: usize,
    memories: usize,
    tables: usize,
    pub(crate) memory_bytes: usize,
    pub(crate) table_elements: usize,
}

impl Limiter {
    fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory_bytes,
            table_limit: limits.table_elements,
            instances: limits.instances,
            memories: limits.memories,
            tables: limits.tables,
            memory_bytes: 0,
            table_elements: 0,
        }
    }
}

/// The sum after one part of it has grown.
fn grown(total: usize, current: usize, desired: usize) -> usize {
    total.saturating_sub(current).saturating_add(desired)
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond its own maximum a memory does not grow anyway, and the guest may ask.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = grown(self.memory_bytes, current, desired);
        if total > self.memory_limit {
            let (needed, limit) = (wide(total), wide(self.memory_limit));
            return Err(EvaluationError::MemoryLimit { needed, limit }.into());
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = grown(self.table_elements, current, desired);
        if total > self.table_limit {
            // A pool's tables have the limit as their maximum, so it is asked first.
            let (needed, limit) = (wide(total), wide(self.table_limit));
            return Err(EvaluationError::TableLimit { needed, limit }.into());
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.memories
    }

    fn tables(&self) -> usize {
        self.tables
    }
}

/// The first bytes of what a guest wrote to standard output and standard error.
#[derive(Debug)]
pub(crate) struct Log {
    kept: Vec<u8>,
    limit: usize,
    /// All bytes that were written, kept or not.
    pub(crate) written: u64,
}

impl Log {
    fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            limit,
            written: 0,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.skip(wide(bytes.len()));
    }

    /// Counts bytes that are not worth keeping.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
    }

    /// The log as text. What is not UTF-8 is replaced, within the limit.
    pub(crate) fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.kept).into_owned();
        // A replacement character is longer than what it replaces.
        text.truncate(text.floor_char_boundary(self.limit));
        text
    }
}

/// A clock that stands at the request's time, and one that a guest moves by asking for it.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Seconds since the Unix epoch.
    pub(crate) now: u64,
    /// Nanoseconds since the start of the evaluation.
    monotonic: u64,
}

impl Clock {
    /// The next instant, a microsecond later: a guest that waits for time to pass does not hang.
    pub(crate) fn tick(&mut self) -> u64 {
        self.advance(1_000)
    }

    /// Lets time pass at once, as after a sleep.
    pub(crate) fn advance(&mut self, nanoseconds: u64) -> u64 {
        self.monotonic = self.monotonic.saturating_add(nanoseconds);
        self.monotonic
    }

    pub(crate) fn advance_to(&mut self, instant: u64) {
        self.monotonic = self.monotonic.max(instant);
    }
}

/// Numbers that look random and follow from the request: the same on every machine and in every release.
/// They are for hash tables and staggering, not for secrets, of which a policy has none.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    fn of(request: &Request) -> Self {
        let resource = &request.resource;
        let parts = [&resource.uid, &resource.namespace, &resource.name];
        // FNV-1a. The byte 0xff occurs in no UTF-8 text, so it separates.
        let bytes = parts
            .into_iter()
            .flat_map(|part| part.bytes().chain([0xff]));
        let seed = bytes
            .chain(request.now.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64)
            });
        Self(seed)
    }

    /// `SplitMix64`.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count.next_multiple_of(8));
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_beginning_and_counts_the_rest() {
        let mut log = Log::new(5);
        log.write(b"abc");
        log.write(b"defg");
        log.write(b"h");
        assert_eq!(log.written, 8);
        assert_eq!(log.into_text(), "abcde");
    }

    #[test]
    fn a_log_that_is_not_text_stays_within_its_limit() {
        let mut log = Log::new(4);
        log.write(&[0xff; 9]);
        assert_eq!(log.into_text(), "\u{fffd}");
    }

    #[test]
    fn random_numbers_follow_from_the_request() {
        let request = Request {
            now: 7,
            ..Request::default()
        };
        let other = Request {
            now: 8,
            ..Request::default()
        };
        let draw = |request: &Request| Random::of(request).bytes(20);
        assert_eq!(draw(&request), draw(&request));
        assert_ne!(draw(&request), draw(&other));
        assert_eq!(draw(&request).len(), 20);
    }

    #[test]
    fn the_random_numbers_are_those_of_every_release() {
        assert_eq!(
            Random::of(&Request::default()).next(),
            0xa0dd_3881_d37d_c89e
        );
    }
}
