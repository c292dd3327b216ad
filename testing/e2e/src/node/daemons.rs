//! Programs that run as long as the node. They end with the network namespace.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use tokio::process::{Child, Command};

const LAST_LINES: usize = 15;

/// The running programs, each with a log in the node's folder.
pub struct Daemons {
    folder: PathBuf,
    running: Mutex<Vec<(&'static str, Child)>>,
}

impl Daemons {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            running: Mutex::default(),
        }
    }

    /// The node's folder, which is also the programs' working directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in the node's folder, as an argument.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Starts a program.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, name: &'static str, mut program: Command) -> Result<()> {
        let log = self.log(name);
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let child = program
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("share a log")?)
            .stderr(file)
            // A ctrl-c on the terminal ends them with the namespace, in one go.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.push((name, child));
        Ok(())
    }

    /// Fails when a program has ended, with the end of its log.
    ///
    /// # Errors
    /// One has ended.
    pub fn check(&self) -> Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, child) in running.iter_mut() {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended with {status}:\n{}", self.last_lines(name));
            }
        }
        Ok(())
    }

    /// The end of a program's log.
    pub fn last_lines(&self, name: &str) -> String {
        let text = fs::read(self.log(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}
