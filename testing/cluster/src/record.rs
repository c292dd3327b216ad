//! The record of a control plane on disk: how another process finds it and ends it.

use crate::files::write_private;
use crate::{Error, processes};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The API server's file of static tokens.
pub(crate) const TOKENS: &str = "tokens.csv";
const FILE: &str = "control-plane.json";

/// A control plane that some process started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// The kubeconfig of its administrator.
    pub kubeconfig: PathBuf,
    /// The kubectl that fits it.
    pub kubectl: PathBuf,
    /// Whether there are controllers: namespaces get their default service account, owned objects are collected.
    pub controllers: bool,
}

impl Running {
    pub(crate) fn write(&self, directory: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        write_private(&directory.join(FILE), &text)
    }

    /// The record in a directory, whether or not the processes still run.
    pub(crate) fn read(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join(FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// The control plane whose data is in `directory`, if it runs.
pub fn find(directory: &Path) -> Option<Running> {
    let running = Running::read(directory)?;
    processes::is_running(directory, "kube-apiserver").then_some(running)
}

/// Ends the control plane whose data is in `directory`, also a half-dead one, and removes the directory.
/// Returns whether there was one.
///
/// # Errors
/// The directory holds something else, or no shell could be started.
pub fn shut_down(directory: &Path) -> Result<bool, Error> {
    if !directory.exists() {
        return Ok(false);
    }
    refuse_foreign(directory)?;
    processes::reap(directory)?;
    Ok(true)
}

/// A directory is removed as a whole, so it must be ours or empty.
pub(crate) fn refuse_foreign(directory: &Path) -> Result<(), Error> {
    let ours = directory.join(FILE).exists() || directory.join(TOKENS).exists();
    let empty = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
    if ours || empty {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "{} holds something other than a control plane: remove it or name another directory",
        directory.display()
    )))
}
