//! A module as far as it is known without compiling it.

use crate::{Limits, LoadError, digest, inspect, inspect::Inspection, unpack::unpack};

/// A module that is unpacked, looked at and found good as far as that goes. What is left is to compile it.
///
/// See [`Engine::prepare`](crate::Engine::prepare).
pub struct Module {
    bytes: Vec<u8>,
    digest: String,
    inspection: Inspection,
}

impl Module {
    pub(crate) fn of_file(file: &[u8], limits: &Limits) -> Result<Self, LoadError> {
        let bytes = unpack(file, limits.module_bytes)?;
        let inspection = inspect::inspect(&bytes, limits)?;
        Ok(Self {
            digest: digest(&bytes),
            inspection,
            bytes: bytes.into_owned(),
        })
    }

    /// The SHA-256 of the unpacked module in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The component in the binary format.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn inspection(&self) -> Inspection {
        self.inspection
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("digest", &self.digest)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
