//! A user at a terminal of the node, in the repository's folder, who follows the documents.

use super::Place;
use super::door::Door;
use crate::World;
use crate::process::{command, run};
use crate::programs::{control_plane, program};
use anyhow::{Context, Result, bail};
use kube::Client;
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// No command of a document takes longer.
const PATIENCE: Duration = Duration::from_mins(3);

/// Runs its argument where the name of ECR's registry is the node's address, for nobody else on the machine.
const SHELL: &str = r#"#!/bin/bash
mount --bind "$HOSTS" /etc/hosts && exec bash -euo pipefail -c "$1"
"#;

/// A user, and the world around.
pub(super) struct User<'a> {
    pub(super) world: &'a World,
    home: PathBuf,
    path: OsString,
    _door: Door,
}

impl<'a> User<'a> {
    /// Makes a home folder, a search path with the programs, and the way to ECR.
    pub(super) async fn new(world: &'a World) -> Result<Self> {
        let home = world.node.folder().join("user");
        let programs = home.join("bin");
        fs::create_dir_all(&programs).context("create the user's home folder")?;
        link(&programs, "kubectl", &control_plane().await?.kubectl)?;
        for name in super::PROGRAMS {
            link(&programs, name, &program(name).await?)?;
        }
        link(&programs, "kubectl-ecr", &world.plugin)?;
        let mut path = programs.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let user = Self {
            world,
            home,
            path,
            _door: Door::open().await?,
        };
        user.write("hosts", &super::door::hosts())?;
        let shell = user.write("shell", SHELL)?;
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755))
            .context("make the user's shell a program")?;
        // A driver that needs nothing of the kernel, and images that go with the node.
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = {}\nrunroot = {}\n",
            json!(user.home.join("images")),
            json!(user.home.join("run"))
        );
        user.write("storage.conf", &storage)?;
        Ok(user)
    }

    /// Runs lines of shell and returns what they printed.
    pub(super) async fn sh(&self, lines: &str) -> Result<String> {
        let mut shell = command("unshare", ["--mount"]);
        shell
            .arg(self.home.join("shell"))
            .arg(lines)
            .current_dir(root())
            .env("HOSTS", self.home.join("hosts"))
            .env("HOME", &self.home)
            .env("PATH", &self.path)
            .env("KUBECONFIG", self.world.node.kubeconfig())
            .env("CONTAINERS_STORAGE_CONF", self.home.join("storage.conf"));
        timeout(PATIENCE, run(shell))
            .await
            .with_context(|| format!("`{lines}` is not done after {} s", PATIENCE.as_secs()))?
    }

    /// Runs lines that have to fail, and returns what they complained of.
    pub(super) async fn refused(&self, lines: &str) -> Result<String> {
        match self.sh(lines).await {
            Ok(told) => bail!("`{lines}` worked, though it must not: {told}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// Runs the first commands after a place in a document, all of them together.
    pub(super) async fn follow(&self, place: Place) -> Result<String> {
        self.sh(&commands(place)?).await
    }

    /// Puts a file into the home folder.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.home.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// A client as the cluster's administrator.
    pub(super) fn client(&self) -> Client {
        self.world.node.client()
    }

    /// Carries one proof out.
    pub(super) fn prove<T>(
        &self,
        sentence: &str,
        work: impl Future<Output = Result<T>>,
    ) -> impl Future<Output = Option<T>> {
        // The steps of a proof together are large for a stack.
        Box::pin(self.world.prove(sentence, work))
    }
}

/// The repository's folder.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The first block of commands after a place in a document. What `cargo` does was done before.
pub(super) fn commands((document, place): Place) -> Result<String> {
    let path = root().join(document);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let block = after(&text, place).with_context(|| {
        format!("{document} has no commands after `{place}`: if it changed, name the new place")
    })?;
    let lines = block
        .lines()
        .map(|line| line.strip_prefix("$ ").unwrap_or(line));
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("cargo ")).collect();
    Ok(lines.join("\n"))
}

fn after<'t>(text: &'t str, place: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(place)?;
    let starts = ["```console\n", "```sh\n"].map(|fence| Some(rest.find(fence)? + fence.len()));
    let block = &rest[starts.into_iter().flatten().min()?..];
    Some(&block[..block.find("```")?])
}

fn link(folder: &Path, name: &str, program: &Path) -> Result<()> {
    symlink(program, folder.join(name)).with_context(|| format!("link {name}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_first_block_after_a_place_is_taken_whatever_its_fence() {
        let text = "```sh\nno\n```\nHere:\n```yaml\na: b\n```\n```console\n$ one\n$ two\n```\n```sh\nlater\n```\n";
        assert_eq!(after(text, "Here:").unwrap(), "$ one\n$ two\n");
        assert_eq!(after(text, "two").unwrap(), "later\n");
        assert_eq!(after(text, "nowhere"), None);
    }
}
