//! The network namespace of the node, and what is left of a run that was killed.
//!
//! Everything of a run is in this namespace or in those of its pods, so whatever is found there is ended.

use crate::process::{command, run};
use crate::world::Arguments;
use crate::{programs, requirements};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

const NAME: &str = "ecr-e2e";
const LOCK: &str = "/run/ecr-e2e.lock";
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The node's address; the API server, registries and the AWS double listen on it.
pub const ADDRESS: &str = "10.89.0.1";

/// Makes the namespace, starts this program again inside it and takes everything down at the end. Whether all was proved.
///
/// # Errors
/// The machine lacks something, or the namespace cannot be made.
pub async fn run_inside(arguments: &Arguments) -> Result<bool> {
    requirements::check().await?;
    let _alone = lock()?;
    programs::build().await?;
    clean(&arguments.folder).await?;
    create().await?;
    // Not `ip netns exec`: that hides the control groups, which kubelet needs.
    let mut inside = command("nsenter", [format!("--net=/run/netns/{NAME}")]);
    inside
        .arg(std::env::current_exe().context("find this program")?)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .kill_on_drop(true);
    let mut child = inside
        .spawn()
        .context("start again inside the network namespace")?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let proved = tokio::select! {
        status = child.wait() => status.context("wait for the proofs")?.success(),
        // A terminal tells the one inside, too, which then ends by itself.
        _ = interrupt.recv() => match timeout(LAST_WORDS, child.wait()).await {
            Ok(status) => status.context("wait for the proofs")?.success(),
            Err(_) => false,
        },
        _ = terminate.recv() => false,
    };
    drop(child);
    clean(&arguments.folder).await?;
    Ok(proved)
}

/// Held until it is dropped; the kernel frees it when this process is killed.
fn lock() -> Result<File> {
    let file = File::create(LOCK).with_context(|| format!("create {LOCK}"))?;
    file.try_lock()
        .context("another run is at work on this machine: wait for its end")?;
    Ok(file)
}

async fn create() -> Result<()> {
    run(command("ip", ["netns", "add", NAME])).await?;
    // The node's address must not be that of the loopback device. One end of a pair of devices serves: both are here.
    for line in [
        "link set lo up",
        "link add node0 type veth peer name node1",
        "addr add 10.89.0.1/24 dev node0",
        "link set node1 up",
        "link set node0 up",
        "route add default dev node0",
    ] {
        run(command(
            "ip",
            ["-n", NAME].into_iter().chain(line.split(' ')),
        ))
        .await?;
    }
    Ok(())
}

/// Lets packets of pods pass. It concerns the namespace that this process is in.
///
/// # Errors
/// The kernel refuses.
pub fn forward() -> Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("switch IP forwarding on")
}

/// Ends and removes all that a run left.
async fn clean(folder: &Path) -> Result<()> {
    let namespaces = network_namespaces(folder);
    // A process that starts another one while it is being ended makes a second look necessary.
    for _ in 0..5 {
        let left = processes_in(&namespaces);
        if left.is_empty() {
            break;
        }
        // One that ended by itself meanwhile is no failure; the next look tells.
        let _ = run(command(
            "kill",
            ["-9"].map(str::to_owned).into_iter().chain(left),
        ))
        .await;
    }
    let mounts = fs::read_to_string("/proc/self/mounts").context("read the mounts")?;
    let below: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|at| Path::new(at).starts_with(folder))
        .collect();
    for mount in below.into_iter().rev() {
        run(command("umount", ["-l", mount])).await?;
    }
    remove_control_groups(folder);
    if Path::new("/run/netns").join(NAME).exists() {
        run(command("ip", ["netns", "del", NAME])).await?;
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

/// The node's namespace and those of its pods, by their inodes. containerd keeps the latter in the state of one of its plugins.
fn network_namespaces(folder: &Path) -> BTreeSet<u64> {
    let plugins = entries(&folder.join("containerd/state"));
    let pods = plugins.flat_map(|plugin| entries(&plugin.join("netns")));
    pods.chain([Path::new("/run/netns").join(NAME)])
        .filter_map(|path| Some(fs::metadata(path).ok()?.ino()))
        .collect()
}

/// What is in a directory; nothing when there is no such directory.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

fn processes_in(namespaces: &BTreeSet<u64>) -> Vec<String> {
    let names = entries(Path::new("/proc"))
        .filter_map(|process| Some(process.file_name()?.to_str()?.to_owned()));
    names
        .filter(|pid| {
            let network = fs::metadata(format!("/proc/{pid}/ns/net"));
            pid.parse::<u32>().is_ok() && network.is_ok_and(|file| namespaces.contains(&file.ino()))
        })
        .collect()
}

/// Containers that were killed leave their empty control groups behind.
fn remove_control_groups(folder: &Path) {
    let tasks = folder.join("containerd/state/io.containerd.runtime.v2.task/k8s.io");
    let containers: Vec<PathBuf> = entries(&tasks).collect();
    for root in entries(Path::new("/sys/fs/cgroup")) {
        for container in containers.iter().filter_map(|path| path.file_name()) {
            // Not every hierarchy has every container; an empty group that stays costs nothing.
            let _ = fs::remove_dir(root.join(container));
            let _ = fs::remove_dir(root.join("k8s.io").join(container));
        }
    }
}
