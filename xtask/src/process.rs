//! Programs that are started here, and end with us.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command as BlockingCommand, Stdio};
use tokio::process::Command;

/// `cargo` in the given workspace, the same that runs us.
pub(crate) fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(directory);
    // What `cargo run` tells us of our own package. Build scripts that ask for it, such as that of ring, would run again
    // whenever we and a plain cargo take turns, and with them all that depends on TLS.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// `cargo` in the workspace of the guests, with its own target directory.
pub(crate) fn guest_cargo(subcommand: &str) -> Command {
    let mut command = cargo(&workspace::guest_workspace());
    command
        .arg(subcommand)
        .arg("--target-dir")
        .arg(workspace::guest_target());
    command
}

/// Runs a program to its end, with its output on ours. When the future is dropped, the program and all that it started
/// is ended.
pub(crate) async fn run(mut command: Command) -> Result<()> {
    let shown = shown(&command);
    let mut child = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let group = Group(child.id());
    let status = child
        .wait()
        .await
        .with_context(|| format!("cannot wait for `{shown}`"))?;
    group.ended();
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a program to its end and returns what it printed.
pub(crate) async fn output(mut command: Command) -> Result<String> {
    let shown = shown(&command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed no text"))
}

/// Whether a program can be started and succeeds; it is silent.
pub(crate) async fn succeeds(mut command: Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .is_ok_and(|status| status.success())
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let mut words = vec![name.to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| workspace::shown(Path::new(word))),
    );
    words.join(" ")
}

/// A process group, ended when this is dropped before its time.
struct Group(Option<u32>);

impl Group {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            // There is no safe function for this in the standard library. That the group has just ended is fine.
            let _ = BlockingCommand::new("/bin/sh")
                .args(["-c", "kill -TERM \"-$1\"", "sh", &id.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_nested_cargo_does_not_hear_of_our_own_package() {
        // cargo has set it for this test.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        let command = cargo(Path::new("/"));
        let mut removed = command
            .as_std()
            .get_envs()
            .filter(|(_, value)| value.is_none());
        assert!(removed.any(|(name, _)| name == "CARGO_PKG_NAME"));
    }

    #[tokio::test]
    async fn a_failed_program_is_named_with_its_arguments() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exit 3"]);
        let message = run(command).await.unwrap_err().to_string();
        assert_eq!(message, "`sh -c exit 3` failed (exit status: 3)");
    }

    #[tokio::test]
    async fn what_a_program_started_ends_with_the_future() {
        let directory = std::env::temp_dir().join(format!("xtask-test-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let pid_file = directory.join("pid");
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "sleep 600 & echo $! >$0.new; mv $0.new $0; wait"])
            .arg(&pid_file);
        let pid = tokio::select! {
            _ = run(command) => panic!("the program ended"),
            pid = test_cluster::eventually(Duration::from_secs(30), "the pid", async || std::fs::read_to_string(&pid_file)) => pid,
        };
        let is_gone = async || {
            let mut check = Command::new("/bin/sh");
            // A process that ended is gone, or a zombie if nobody here waits for it.
            check.args([
                "-c",
                "! kill -0 $0 || grep -q '^State:.*Z' /proc/$0/status",
                pid.trim(),
            ]);
            succeeds(check).await.then_some(())
        };
        test_cluster::eventually(Duration::from_secs(30), "the grandchild to end", is_gone).await;
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
