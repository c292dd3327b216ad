//! The processes of a control plane: started with their logs in files, and ended in every case.
//!
//! `Drop` does not run when the process is killed, nor for a static at its end. So a watchdog, a shell that
//! reads from a pipe which only we hold, ends what is left when the pipe closes.

use crate::Error;
use crate::files::last_lines;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Defines `alive FILE`: whether the process of a pid file runs and its command line names the directory `$1`; a
/// pid can have been given to another program since.
const ALIVE: &str = r#"
directory=$1
alive() {
  [ -f "$1" ] || return 1
  pid=$(cat "$1")
  if [ -r "/proc/$pid/cmdline" ]; then line=$(tr '\0' ' ' <"/proc/$pid/cmdline"); else line=$(ps -o command= -p "$pid"); fi
  case $line in *"$directory"*) return 0 ;; *) return 1 ;; esac
}
"#;

/// Ends every process that a pid file of the directory names, then removes the directory.
const REAP: &str = r#"
for file in "$directory"/*.pid; do if alive "$file"; then kill -9 "$pid"; fi; done
rm -rf "$directory"
"#;

/// One program of the control plane.
pub(crate) struct Process {
    child: Child,
    program: &'static str,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Process {
    /// Starts a program with its log and its pid file in `directory`. It gets a process group of its own, so
    /// that a ctrl-c on the terminal reaches it only through us.
    pub(crate) fn start(
        directory: &Path,
        program: &'static str,
        path: &Path,
        arguments: &[String],
    ) -> Result<Self, Error> {
        let log = directory.join(format!("{program}.log"));
        // Appended to: after a restart, the lines before it still explain things.
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(&log)
                .map_err(Error::file("open", &log))
        };
        let child = Command::new(path)
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Spawn {
                program: path.display().to_string(),
                source,
            })?;
        let pid_file = directory.join(format!("{program}.pid"));
        let process = Self {
            child,
            program,
            log,
            pid_file,
        };
        fs::write(&process.pid_file, process.child.id().to_string())
            .map_err(Error::file("write", &process.pid_file))?;
        Ok(process)
    }

    /// Fails when the program has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.problem(format!("ended with {status}"))),
            Err(source) => Err(self.problem(format!("cannot be waited for: {source}"))),
        }
    }

    /// An error about this program, with the end of its log.
    pub(crate) fn problem(&self, problem: String) -> Error {
        Error::NotReady {
            program: self.program,
            problem,
            log: self.log.clone(),
            tail: last_lines(&self.log, 15),
        }
    }

    /// Ends the program at once. There is nothing that it would have to save: the store lives as long as
    /// its directory.
    fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.pid_file);
    }

    /// Leaves the program running after this process; its pid file stays for [`reap`].
    pub(crate) fn detach(self) {
        std::mem::forget(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends the processes of a directory when this process ends, however that comes to be.
pub(crate) struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    pub(crate) fn start(directory: &Path) -> Result<Self, Error> {
        let mut shell = shell(&format!("read -r _\n{ALIVE}{REAP}"), directory)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Spawn {
                program: "sh".to_owned(),
                source,
            })?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }
}

impl Watchdog {
    /// Ends the watchdog without what it would do.
    pub(crate) fn dismiss(mut self) {
        // An error means that it has ended already.
        let _ = self.shell.kill();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // The shell reads the end of its input, clears up and ends.
        self.pipe.take();
        let _ = self.shell.wait();
    }
}

/// Ends the processes whose pid files are in `directory`, and removes it.
pub(crate) fn reap(directory: &Path) -> Result<(), Error> {
    shell(&format!("{ALIVE}{REAP}"), directory)
        .stdin(Stdio::null())
        .status()
        .map(drop)
        .map_err(|source| Error::Spawn {
            program: "sh".to_owned(),
            source,
        })
}

/// Whether a process of `directory` runs, by its pid file.
pub(crate) fn is_running(directory: &Path, program: &str) -> bool {
    shell(&format!("{ALIVE}alive \"$directory/$2.pid\""), directory)
        .arg(program)
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn shell(script: &str, directory: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "sh"])
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command
}
