//! Numbers that look random and follow from the request: the same on every machine.
//!
//! They are for hash tables and staggering, not for secrets, of which a policy has none.

use std::convert::Infallible;

use ecr_policy_model::Request;
use rand_core::TryRng;

/// A number that stands for the resource and the time of a request.
pub(super) fn seed(request: &Request) -> u64 {
    let resource = &request.resource;
    let parts = [&resource.uid, &resource.namespace, &resource.name];
    // FNV-1a. The byte 0xff occurs in no UTF-8 text, so it separates.
    let bytes = parts
        .into_iter()
        .flat_map(|part| part.bytes().chain([0xff]));
    bytes
        .chain(request.now.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64)
        })
}

/// `SplitMix64`, from its seed. wasmtime-wasi's own fixed generator repeats itself after some bytes, and the
/// small ones of `rand` are not the same on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A generator with numbers of its own.
    pub(super) fn split(&mut self) -> Self {
        Self(self.next())
    }

    pub(super) fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // The upper half, which needs no check that it fits.
        let [_, _, _, _, bytes @ ..] = self.next().to_le_bytes();
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;

    #[test]
    fn random_numbers_follow_from_the_request() {
        let at = |now| Request {
            now,
            ..Request::default()
        };
        let draw = |request: &Request| {
            let mut bytes = [0; 20];
            Random(seed(request)).fill_bytes(&mut bytes);
            bytes
        };
        assert_eq!(draw(&at(7)), draw(&at(7)));
        assert_ne!(draw(&at(7)), draw(&at(8)));
    }

    #[test]
    fn the_random_numbers_are_those_of_every_release() {
        assert_eq!(
            Random(seed(&Request::default())).next(),
            0xa0dd_3881_d37d_c89e
        );
    }

    #[test]
    fn generators_that_were_split_differ() {
        let mut random = Random(1);
        let (mut one, mut other) = (random.split(), random.split());
        assert_ne!(one.next(), other.next());
    }
}
