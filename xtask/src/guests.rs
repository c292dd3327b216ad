//! `cargo xtask guests`: builds every guest module as a component, for both WebAssembly targets.
//!
//! `wasm32-unknown-unknown` gives a core module, which becomes a component here; it is the smaller one and imports
//! nothing. `wasm32-wasip2` gives a component straight from the compiler.

use crate::process::{cargo, guest_cargo, output, run as run_process};
use crate::workspace::{self, shown};
use anyhow::{Context, Result, bail};
use ecr_policy_component::{LINKER_FLAGS, TARGET as CORE};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::process::Command;

const WASI: &str = "wasm32-wasip2";

pub(crate) async fn run() -> Result<()> {
    ensure_targets().await?;
    for guest in build().await? {
        println!("{:>9}  {}", guest.size, shown(&guest.path));
    }
    Ok(())
}

/// A finished component.
pub(crate) struct Guest {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// Installs what is missing of the WebAssembly targets.
pub(crate) async fn ensure_targets() -> Result<()> {
    for target in [CORE, WASI] {
        ensure_target(target).await?;
    }
    Ok(())
}

/// Installs a target of the compiler, if it is missing.
pub(crate) async fn ensure_target(target: &str) -> Result<()> {
    if is_installed(target).await? {
        return Ok(());
    }
    let mut command = Command::new("rustup");
    command.args(["target", "add", target]);
    // In the repository, where rust-toolchain.toml names the toolchain.
    command.current_dir(workspace::root());
    run_process(command)
        .await
        .with_context(|| format!("no Rust target {target}: install it for this toolchain"))
}

/// Asks the compiler, because a toolchain need not come from rustup.
async fn is_installed(target: &str) -> Result<bool> {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command
        .current_dir(workspace::root())
        .args(["--print", "target-libdir", "--target", target]);
    let directory = output(command).await?;
    Ok(Path::new(directory.trim()).is_dir())
}

/// Builds all guests. What is up to date is not built again.
pub(crate) async fn build() -> Result<Vec<Guest>> {
    let names = names().await?;
    for target in [CORE, WASI] {
        let mut command = guest_cargo("build");
        command.args(["--quiet", "--release", "--target", target]);
        if target == CORE {
            // As `kubectl ecr policy build` does, here for all packages at once.
            let flags = LINKER_FLAGS.map(|flag| format!("{flag:?}")).join(", ");
            command.arg("--config");
            command.arg(format!("target.{CORE}.rustflags = [{flags}]"));
        }
        for name in &names {
            command.args(["--package", name]);
        }
        run_process(command).await?;
    }
    let directory = workspace::guests();
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", shown(&directory)))?;
    let mut guests = Vec::new();
    for name in &names {
        let module = built(CORE, name);
        let component = directory.join(format!("{name}.wasm"));
        guests.push(
            finish(&module, component, componentize)
                .with_context(|| format!("guest {name}, target {CORE}"))?,
        );
        let component = directory.join(format!("{name}.wasip2.wasm"));
        guests.push(
            finish(&built(WASI, name), component, |bytes| Ok(bytes.to_vec()))
                .with_context(|| format!("guest {name}, target {WASI}"))?,
        );
    }
    Ok(guests)
}

fn built(target: &str, name: &str) -> PathBuf {
    workspace::guest_target()
        .join(target)
        .join("release")
        .join(format!("{}.wasm", name.replace('-', "_")))
}

/// Writes `path` from `source`, unless it is the newer of the two.
fn finish(
    source: &Path,
    path: PathBuf,
    make: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<Guest> {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let source_time = time(source).with_context(|| format!("cannot read {}", shown(source)))?;
    if time(&path).is_ok_and(|done| done > source_time) {
        let size = fs::metadata(&path)?.len();
        return Ok(Guest { path, size });
    }
    let bytes = fs::read(source).with_context(|| format!("cannot read {}", shown(source)))?;
    let component = make(&bytes)?;
    // A test may read it at the same time, so it appears whole.
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&temporary, &component)
        .and_then(|()| fs::rename(&temporary, &path))
        .with_context(|| format!("cannot write {}", shown(&path)))?;
    let size = u64::try_from(component.len())?;
    Ok(Guest { path, size })
}

/// A core module as a component. It fails for a module that imports anything but the types of its interface.
fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    ecr_policy_component::of_module(module)
        .map_err(|error| anyhow::anyhow!("cannot make a component: {error}"))
}

/// The guests: the packages of their workspace that are libraries for WebAssembly.
async fn names() -> Result<Vec<String>> {
    let mut command = cargo(&workspace::guest_workspace());
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_str(&output(command).await?)
        .context("cannot read what `cargo metadata` says of guest-modules")?;
    let mut names = guests_of(metadata);
    if names.is_empty() {
        bail!(
            "no package of guest-modules has the crate type cdylib, so there is no guest to build"
        );
    }
    names.sort_unstable();
    Ok(names)
}

fn guests_of(metadata: Metadata) -> Vec<String> {
    let is_guest = |package: &Package| {
        package
            .targets
            .iter()
            .any(|target| target.kind.iter().any(|kind| kind == "cdylib"))
    };
    metadata
        .packages
        .into_iter()
        .filter(is_guest)
        .map(|package| package.name)
        .collect()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_guest_is_a_package_with_a_cdylib() {
        let metadata = r#"{"packages": [
            {"name": "ecr-policy", "targets": [{"kind": ["lib"]}]},
            {"name": "team-prefix", "targets": [{"kind": ["cdylib"]}, {"kind": ["test"]}]}
        ]}"#;
        let names = guests_of(serde_json::from_str(metadata).unwrap());
        assert_eq!(names, ["team-prefix"]);
    }

    #[test]
    fn a_module_without_an_interface_is_no_guest() {
        let error = componentize(b"\0asm\x01\0\0\0 junk").unwrap_err();
        assert!(error.to_string().starts_with("cannot make a component"));
    }

    #[test]
    fn a_component_is_made_again_only_when_its_module_is_newer() {
        let directory = std::env::temp_dir().join(format!("xtask-guests-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (source, path) = (directory.join("in"), directory.join("out"));
        fs::write(&source, "1").unwrap();
        let make = |bytes: &[u8]| Ok([bytes, b"!"].concat());
        assert_eq!(finish(&source, path.clone(), make).unwrap().size, 2);
        let file = fs::File::options().write(true).open(&path).unwrap();
        let late =
            fs::metadata(&source).unwrap().modified().unwrap() + std::time::Duration::from_secs(1);
        file.set_modified(late).unwrap();
        let again = finish(&source, path.clone(), |_| bail!("made again")).unwrap();
        assert_eq!(again.size, 2);
        fs::File::options()
            .write(true)
            .open(&source)
            .unwrap()
            .set_modified(late)
            .unwrap();
        assert!(finish(&source, path, |_| bail!("made again")).is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
