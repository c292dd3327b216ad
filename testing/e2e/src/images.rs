//! Images of one layer, made here and pushed to the open registry.

use crate::process::{command, run};
use crate::registry::OPEN;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// The operator's public repository and tag, which the bundle and the manifests name.
pub const OPERATOR: &str = concat!("rh-mobb/ecr-secret-operator:v", env!("CARGO_PKG_VERSION"));

/// An image to be: some files and how it runs.
#[derive(Debug, Default)]
pub struct Image {
    files: Vec<(String, Source)>,
    config: Map<String, Value>,
    labels: Map<String, Value>,
}

#[derive(Debug)]
enum Source {
    Program(PathBuf),
    Text(String),
}

impl Image {
    /// An empty one, with a folder for temporary files and a search path.
    #[must_use]
    pub fn new() -> Self {
        let mut image = Self::default();
        image.set("Env", json!(["PATH=/bin"]));
        image.set("WorkingDir", json!("/"));
        image
    }

    /// A program of this machine, which must need no library of it.
    #[must_use]
    pub fn program(mut self, path: &str, from: impl Into<PathBuf>) -> Self {
        self.files
            .push((path.to_owned(), Source::Program(from.into())));
        self
    }

    /// A file with this text.
    #[must_use]
    pub fn text(mut self, path: &str, text: impl Into<String>) -> Self {
        self.files
            .push((path.to_owned(), Source::Text(text.into())));
        self
    }

    /// What it runs.
    #[must_use]
    pub fn entrypoint<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.set("Entrypoint", json!(words.to_vec()));
        self
    }

    /// The arguments of what it runs.
    #[must_use]
    pub fn command<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.set("Cmd", json!(words.to_vec()));
        self
    }

    /// The user that it runs as.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.set("User", json!(user));
        self
    }

    /// A label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), json!(value));
        self
    }

    fn set(&mut self, key: &str, value: Value) {
        self.config.insert(key.to_owned(), value);
    }

    /// Writes it as a Docker archive.
    ///
    /// # Errors
    /// A program cannot be read, or the archive not written.
    pub fn save(&self, archive: &Path, tag: &str) -> Result<()> {
        let layer = self.layer()?;
        let mut settings = self.config.clone();
        settings.insert("Labels".to_owned(), Value::Object(self.labels.clone()));
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": settings,
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))] },
        });
        let manifest =
            json!([{ "Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"] }]);
        let file =
            File::create(archive).with_context(|| format!("create {}", archive.display()))?;
        let mut outer = Builder::new(file);
        append(
            &mut outer,
            "manifest.json",
            manifest.to_string().as_bytes(),
            0o644,
        )?;
        append(
            &mut outer,
            "config.json",
            config.to_string().as_bytes(),
            0o644,
        )?;
        append(&mut outer, "layer.tar", &layer, 0o644)?;
        outer.into_inner().context("end the archive").map(drop)
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut layer = Builder::new(Vec::new());
        let mut header = header(0, 0o1777);
        header.set_entry_type(EntryType::Directory);
        layer.append_data(&mut header, "tmp", std::io::empty())?;
        for (path, source) in &self.files {
            let path = path.trim_start_matches('/');
            match source {
                Source::Program(from) => {
                    let content = fs::read(from)
                        .with_context(|| format!("read the program {}", from.display()))?;
                    append(&mut layer, path, &content, 0o755)?;
                }
                Source::Text(text) => append(&mut layer, path, text.as_bytes(), 0o644)?,
            }
        }
        layer.into_inner().context("end a layer")
    }
}

fn append<W: std::io::Write>(
    to: &mut Builder<W>,
    path: &str,
    content: &[u8],
    mode: u32,
) -> Result<()> {
    to.append_data(&mut header(content.len().try_into()?, mode), path, content)
        .with_context(|| format!("put {path} into an archive"))
}

fn header(size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// This machine's, in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// Pushes images to the open registry. What is there can be pulled through the other one too, with a token.
pub struct Images {
    crane: PathBuf,
    folder: PathBuf,
}

impl Images {
    pub(crate) fn new(crane: PathBuf, folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { crane, folder }
    }

    /// Pushes an image under `name:tag`, and returns `host/name@sha256:…` of the open registry.
    ///
    /// # Errors
    /// A program cannot be read, or the registry refuses.
    pub async fn push(&self, name: &str, image: &Image) -> Result<String> {
        let archive = self.folder.join("image.tar");
        image.save(&archive, &format!("{OPEN}/{name}"))?;
        self.push_archive(name, &archive).await
    }

    /// An image that does nothing but sleep, for pods that only have to run.
    ///
    /// # Errors
    /// As [`Images::push`].
    pub async fn push_sleeper(&self, name: &str) -> Result<String> {
        let image = Image::new()
            .program("/bin/sleep", "/usr/bin/busybox")
            .entrypoint(["/bin/sleep"])
            .command(["3600"])
            .user("1001")
            // Two images of different names have different digests, so that none is on the node because of the other.
            .text("/name", name);
        self.push(name, &image).await
    }

    /// Pushes the operator's image under its public name.
    pub(crate) async fn push_operator(&self, archive: &Path) -> Result<String> {
        self.push_archive(OPERATOR, archive).await
    }

    async fn push_archive(&self, name: &str, archive: &Path) -> Result<String> {
        let archive = archive.display().to_string();
        let target = format!("{OPEN}/{name}");
        let pushed = run(command(
            &self.crane,
            ["push", "--insecure", &archive, &target],
        ))
        .await
        .with_context(|| format!("push {name}"))?;
        Ok(pushed.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read;

    #[test]
    fn an_archive_has_the_files_with_modes_and_an_owner_that_do_not_depend_on_the_machine() {
        let own = std::env::current_exe().unwrap();
        let image = Image::new().program("/bin/own", own).text("/name", "x");
        let layer = image.layer().unwrap();
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(layer.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            assert_eq!(header.uid().unwrap(), 0);
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.insert(path, (header.mode().unwrap(), content.len()));
        }
        assert_eq!(found["tmp"].0, 0o1777);
        assert_eq!(found["bin/own"].0, 0o755);
        assert_eq!(found["name"], (0o644, 1));
    }
}
