//! What a machine must have, told all at once.

use crate::process::{command, run};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Debian's packages, each with a program by which it is recognised, or a file.
const PACKAGES: [(&str, &str); 11] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("iproute2", "ip"),
    ("util-linux", "nsenter"),
    ("procps", "kill"),
    ("busybox-static", "/usr/bin/busybox"),
    ("buildah", "buildah"),
    ("skopeo", "skopeo"),
];

/// A network namespace that exists for the trials only.
const TRIAL: &str = "ecr-e2e-trial";

/// What the kernel must be able to do, and a command that does it.
const TRIALS: [(&str, &[&str]); 3] = [
    (
        "pairs of network devices (veth)",
        &[
            "ip", "-n", TRIAL, "link", "add", "t0", "type", "veth", "peer", "name", "t1",
        ],
    ),
    (
        "bridges (bridge)",
        &["ip", "-n", TRIAL, "link", "add", "t2", "type", "bridge"],
    ),
    (
        "address translation (the table nat of iptables)",
        &[
            "ip", "netns", "exec", TRIAL, "iptables", "-t", "nat", "-L", "-n",
        ],
    ),
];

/// Makes sure that everything is there. In CI the packages are installed, elsewhere the line that does so is told.
///
/// # Errors
/// Something is missing; the error names all of it.
pub async fn check() -> Result<()> {
    // /proc shows a process with the owner that it runs as.
    let root = fs::metadata("/proc/self").is_ok_and(|owner| owner.uid() == 0);
    let mut lacks = Vec::new();
    if !root {
        lacks.push("it needs root: begin the command with `sudo -E`".to_owned());
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    if root && ci && !missing().is_empty() {
        install(&missing()).await?;
    }
    if !missing().is_empty() {
        lacks.push(format!(
            "packages are missing: apt-get install -y --no-install-recommends {}",
            missing().join(" ")
        ));
    } else if root {
        lacks.extend(kernel().await);
    }
    if !lacks.is_empty() {
        bail!("this machine cannot run the node: {}", lacks.join("; "));
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| {
        // An absolute path stays what it is when it is joined.
        std::env::split_paths(&path).any(|directory| directory.join(program).exists())
    };
    let missing = PACKAGES.iter().filter(|(_, program)| !found(program));
    missing.map(|(package, _)| *package).collect()
}

async fn install(packages: &[&str]) -> Result<()> {
    eprintln!("installing {}", packages.join(" "));
    run(command("apt-get", ["update"])).await?;
    let mut install = command("apt-get", ["install", "-y", "--no-install-recommends"]);
    install
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(install).await.map(drop).context("install the packages")
}

/// What the kernel lacks.
async fn kernel() -> Vec<String> {
    let mut lacks = Vec::new();
    // Where it is built in or loaded already, there is nothing to load; the list of file systems tells.
    let _ = run(command("modprobe", ["overlay"])).await;
    let systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !systems.contains("overlay") {
        lacks.push("the kernel lacks overlay file systems (overlay)".to_owned());
    }
    if !Path::new("/sys/fs/cgroup").exists() {
        lacks.push("control groups are not mounted at /sys/fs/cgroup".to_owned());
    }
    // One that was killed may have left it.
    let _ = run(command("ip", ["netns", "del", TRIAL])).await;
    if let Err(error) = run(command("ip", ["netns", "add", TRIAL])).await {
        lacks.push(format!("network namespaces do not work ({error:#})"));
        return lacks;
    }
    for (what, words) in TRIALS {
        if let Err(error) = run(command(words[0], &words[1..])).await {
            lacks.push(format!("the kernel lacks {what} ({error:#})"));
        }
    }
    if let Err(error) = run(command("ip", ["netns", "del", TRIAL])).await {
        lacks.push(format!("a network namespace cannot be removed ({error:#})"));
    }
    lacks
}
