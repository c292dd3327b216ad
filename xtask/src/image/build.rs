//! The build of the binary, in which nothing of the place where it is built is left.

use super::platform::Platform;
use super::tools::Tools;
use crate::process::{cargo, run};
use anyhow::{Context, Result};
use ecr_secret_core::api::OPERATOR_NAME;
use std::env;
use std::path::{Path, PathBuf};

/// The linker makes a static executable that is loaded at a random address. Zig does not know rustc's own `-static-pie`.
const STATIC_PIE: [&str; 4] = ["-C", "link-arg=-static", "-C", "link-arg=-pie"];

/// Where the sources are, and where they are built.
pub(super) struct Place {
    pub(super) sources: PathBuf,
    pub(super) target: PathBuf,
}

impl Place {
    /// Directories that differ from machine to machine, and what the compiler calls them. The last that fits counts.
    fn renamed(&self) -> Result<[(PathBuf, &'static str); 3]> {
        Ok([
            (home("CARGO_HOME", ".cargo")?, "cargo"),
            (self.sources.clone(), "."),
            (self.target.clone(), "target"),
        ])
    }

    /// Paths that must not be in the binary.
    pub(super) fn private_paths(&self) -> Result<Vec<PathBuf>> {
        let renamed = self.renamed()?.map(|(path, _)| path);
        let mut paths = Vec::from(renamed);
        paths.push(home("RUSTUP_HOME", ".rustup")?);
        Ok(paths)
    }
}

fn home(variable: &str, name: &str) -> Result<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(name)))
        .with_context(|| format!("no home directory: set {variable}"))
}

/// Builds the operator for a platform, and returns the path of the binary.
///
/// # Errors
/// It does not build.
pub(super) async fn binary(place: &Place, tools: &Tools, platform: Platform) -> Result<PathBuf> {
    let target = platform.target();
    let renamed = place.renamed()?;
    let mut command = cargo(&place.sources);
    tools.on_path_of(&mut command)?;
    command.args(["auditable", "zigbuild", "--release", "--locked"]);
    command.args(["--package", OPERATOR_NAME, "--bin", OPERATOR_NAME]);
    command.args(["--target", target, "--target-dir"]);
    command.arg(&place.target);
    command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&renamed));
    command.env(
        format!("CFLAGS_{}", target.replace('-', "_")),
        c_flags(&renamed),
    );
    run(command).await?;
    let release = place.target.join(target).join("release");
    Ok(release.join(OPERATOR_NAME))
}

fn rust_flags(renamed: &[(PathBuf, &str)]) -> String {
    let renamed = renamed
        .iter()
        .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()));
    let flags = STATIC_PIE.into_iter().map(str::to_owned).chain(renamed);
    flags.collect::<Vec<_>>().join("\u{1f}")
}

/// For C in dependencies, which names its files in assertions.
fn c_flags(renamed: &[(PathBuf, &str)]) -> String {
    let flag = |(path, name): &(PathBuf, &str)| {
        format!("-ffile-prefix-map={}={name}", Path::display(path))
    };
    renamed.iter().map(flag).collect::<Vec<_>>().join(" ")
}
