//! Standard output and standard error: the beginning is kept, all of it is counted, nothing waits or fails.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult, pipe::SinkOutputStream},
};
use wasmtime_wasi_io::bytes::Bytes;

use crate::limits::wide;

/// The first bytes of what a guest wrote to standard output and standard error.
#[derive(Debug, Default)]
pub(crate) struct Log {
    kept: Vec<u8>,
    limit: usize,
    /// All bytes that were written, kept or not.
    pub(crate) written: u64,
}

impl Log {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            limit,
            written: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.written = self.written.saturating_add(wide(bytes.len()));
    }

    /// The log as text. What is not UTF-8 is replaced, within the limit.
    pub(crate) fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.kept).into_owned();
        // A replacement character is longer than what it replaces.
        text.truncate(text.floor_char_boundary(self.limit));
        text
    }
}

/// How many bytes a guest is told that it may write at a time.
const WRITE_PERMIT: usize = 4096;

/// A stream to the log. All streams of an evaluation lead to the same one.
#[derive(Clone)]
pub(super) struct Output(pub(super) Arc<Mutex<Log>>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    /// Only WASI 0.1 and 0.3 ask for this one, and neither is linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        SinkOutputStream.async_stream()
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_PERMIT)
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
}
