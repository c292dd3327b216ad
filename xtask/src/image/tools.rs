//! What a build of the image needs beyond Rust, installed where it is missing, each in one version.

use super::platform::Platform;
use crate::process::run;
use crate::{guests, tools, workspace};
use anyhow::{Context, Result};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use tokio::process::Command;

/// Zig is the C compiler and the linker, for every platform alike.
const ZIGBUILD: (&str, &str) = ("cargo-zigbuild", "0.24.1");
/// Keeps the list of dependencies in the binary.
pub(super) const AUDITABLE: (&str, &str) = ("cargo-auditable", "0.7.7");
/// Zig's version and hashes: the ones that the policies in C are built with.
const ZIG_PINS: &str = "other-languages/c/requirements.txt";

/// Programs that are installed.
pub(super) struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// Installs what is missing.
    ///
    /// # Errors
    /// Something cannot be installed.
    pub(super) async fn ensure(platforms: &[Platform]) -> Result<Self> {
        let found = Self {
            directory: tools::directory(),
        };
        for (name, version) in [ZIGBUILD, AUDITABLE] {
            tools::ensure(name, version).await?;
        }
        found.ensure_zig().await?;
        for platform in platforms {
            guests::ensure_target(platform.target()).await?;
        }
        Ok(found)
    }

    /// Lets `cargo` find them.
    pub(super) fn on_path_of(&self, command: &mut Command) -> Result<()> {
        command.env("PATH", self.path()?);
        command.env("CARGO_ZIGBUILD_ZIG_PATH", self.zig().join("ziglang/zig"));
        command.env(
            "CARGO_ZIGBUILD_CACHE_DIR",
            self.directory.join("zigbuild-cache"),
        );
        command.env("ZIG_GLOBAL_CACHE_DIR", self.directory.join("c-zig-cache"));
        Ok(())
    }

    fn path(&self) -> Result<OsString> {
        let others = env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.directory.join("bin")).chain(env::split_paths(&others));
        env::join_paths(all).context("the repository's path cannot be in PATH: move it")
    }

    /// Shared with the build of the policies in C.
    fn zig(&self) -> PathBuf {
        self.directory.join("c-zig")
    }

    /// A copy of the pins is written last: it says that the installation is whole, and of which version.
    async fn ensure_zig(&self) -> Result<()> {
        let pins = workspace::guest_workspace().join(ZIG_PINS);
        let wanted =
            fs::read(&pins).with_context(|| format!("cannot read {}", workspace::shown(&pins)))?;
        let (zig, installed) = (self.zig(), self.zig().join("requirements.txt"));
        if fs::read(&installed).is_ok_and(|pins| pins == wanted) {
            return Ok(());
        }
        if zig.exists() {
            fs::remove_dir_all(&zig)?;
        }
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--no-compile"]);
        install.args([
            "--disable-pip-version-check",
            "--root-user-action",
            "ignore",
        ]);
        install.args(["--no-deps", "--only-binary", ":all:", "--require-hashes"]);
        install.arg("--requirement").arg(&pins);
        install.arg("--target").arg(&zig);
        run(install)
            .await
            .context("cannot install Zig: it needs python3 with pip")?;
        fs::write(installed, wanted)?;
        Ok(())
    }
}
