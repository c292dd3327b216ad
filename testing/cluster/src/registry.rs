//! A registry for OCI artifacts: that of go-containerregistry, built with Go as the other programs are.

use crate::binaries::cache_dir;
use crate::{Error, Progress, build, no_progress};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = "oci-registry";

/// A running registry on the loopback interface, in clear text. It ends when this is dropped or the process ends.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    /// Starts a registry that anybody may use, or whoever has this user and password. Blocks; the first time ever the
    /// program is built.
    ///
    /// # Errors
    /// There is no Go, Go fails, or the program does not start.
    pub fn start(credentials: Option<(&str, &str)>) -> Result<Self, Error> {
        Self::start_with(credentials, no_progress)
    }

    /// As [`Registry::start`], with word of the build.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub fn start_with(
        credentials: Option<(&str, &str)>,
        progress: Progress,
    ) -> Result<Self, Error> {
        let path = cache_dir()?.join(PROGRAM);
        if !path.is_file() {
            build::fill(&cache_dir()?, progress)?;
        }
        let failed = |source| Error::Spawn {
            program: path.display().to_string(),
            source,
        };
        let (user, password) = credentials.unwrap_or_default();
        let mut child = Command::new(&path)
            .env("REGISTRY_USER", user)
            .env("REGISTRY_PASSWORD", password)
            // It ends with its input, which only we hold.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut address = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output)
                .read_line(&mut address)
                .map_err(failed)?;
        }
        Ok(Self {
            child,
            address: address.trim().to_owned(),
        })
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
