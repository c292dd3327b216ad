//! Free TCP ports.

use crate::Error;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that the system takes ports for outgoing connections from, so that a port stays free
/// between its choice and its use, and while the API server is stopped.
const FIRST: u16 = 18_000;
const LAST: u16 = 31_999;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that is free now. Two processes begin at different places; a caller that loses the rest of the
/// race tries again.
pub(crate) fn free_port() -> Result<u16, Error> {
    let count = LAST - FIRST + 1;
    // The remainder is below `count`, which is a u16.
    let start = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(count)).unwrap_or(0);
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % count;
        let port = FIRST + (start + step) % count;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::NoPort(FIRST, LAST))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_port_in_use_is_not_handed_out() {
        let port = free_port().unwrap();
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        for _ in 0..8 {
            assert_ne!(free_port().unwrap(), port);
        }
    }
}
