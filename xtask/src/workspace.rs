//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The directory of everything that is built.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        // cargo takes a relative one from the current directory, and so do we.
        Some(directory) => env::current_dir().unwrap_or_default().join(directory),
        None => root().join("target"),
    }
}

/// The workspace of the guest modules.
pub(crate) fn guest_workspace() -> PathBuf {
    root().join("guest-modules")
}

/// Where the guests are built, apart from the host's target directory, so that neither build waits for the other.
pub(crate) fn guest_target() -> PathBuf {
    target().join("guests-build")
}

/// Where finished components lie.
pub(crate) fn guests() -> PathBuf {
    target().join("guests")
}

/// Where the data of `cargo xtask cluster up` lies.
pub(crate) fn cluster() -> PathBuf {
    target().join("cluster")
}

/// A path as a reader in the repository would write it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}
