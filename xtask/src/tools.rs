//! Programs of cargo's registry, installed below `target` where they are missing, each in one version.

use crate::process::{cargo, run};
use crate::workspace;
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

/// Where they are; their executables are in `bin`.
pub(crate) fn directory() -> PathBuf {
    workspace::target().join("tools")
}

/// Installs a program, if this version of it is not there.
///
/// # Errors
/// cargo cannot install it.
pub(crate) async fn ensure(name: &str, version: &str) -> Result<()> {
    let directory = directory();
    // Where cargo notes what it has installed. A program that is not there yet has no such file.
    let noted = fs::read_to_string(directory.join(".crates.toml")).unwrap_or_default();
    if noted.contains(&format!("\"{name} {version} (")) {
        return Ok(());
    }
    let mut install = cargo(&workspace::root());
    install.args(["install", name, "--locked", "--version", version, "--root"]);
    install.arg(directory);
    run(install).await
}
