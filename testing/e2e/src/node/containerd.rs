//! containerd with its own state, the network of pods, and the registries that it mirrors.

use super::Daemons;
use crate::images::Image;
use crate::process::{command, run};
use crate::until;
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Where it listens.
pub(super) const SOCKET: &str = "containerd.sock";
/// Where the addresses of pods come from.
pub(super) const POD_NETWORK: &str = "10.88.0.0/16";
/// What holds a pod's network namespace.
const PAUSE: &str = "localhost/pause:1";
const MIRRORS: &str = "mirrors";

/// Starts it and gives it the image that every pod begins with.
pub(super) async fn start(daemons: &Daemons) -> Result<()> {
    let folder = daemons.folder();
    let network = folder.join("network");
    fs::create_dir_all(&network).context("create the folder of pod networks")?;
    fs::create_dir_all(folder.join(MIRRORS)).context("create the folder of mirrors")?;
    fs::write(network.join("10-pods.conflist"), pods().to_string())
        .context("write the network of pods")?;
    fs::write(folder.join("containerd.toml"), config(daemons))
        .context("write containerd's configuration")?;
    let arguments = ["--config".to_owned(), daemons.path("containerd.toml")];
    daemons.start("containerd", command("containerd", arguments))?;
    let ctr = |words: &[&str]| {
        let socket = daemons.path(SOCKET);
        let mut ctr = command("ctr", ["--address", &socket, "--namespace", "k8s.io"]);
        ctr.args(words);
        ctr
    };
    until(Duration::from_secs(30), "containerd", async || {
        daemons.check()?;
        run(ctr(&["version"])).await
    })
    .await?;
    let archive = folder.join("pause.tar");
    Image::new()
        .program("/bin/sleep", "/usr/bin/busybox")
        .entrypoint(["/bin/sleep", "2147483647"])
        .user("65535")
        .save(&archive, PAUSE)?;
    let archive = archive.display().to_string();
    run(ctr(&["images", "import", &archive])).await.map(drop)
}

/// A bridge. The node's address is reached through it, and nothing else.
fn pods() -> serde_json::Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": true,
            "hairpinMode": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": POD_NETWORK }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
}

fn config(daemons: &Daemons) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  # A process inside a container may not lower the score that it inherits.
  restrict_oom_score_adj = true
  # What is there belongs to this node, so that it can be told from that of others.
  netns_mounts_under_state_dir = true
  sandbox_image = "{PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{network}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{mirrors}"
"#,
        root = daemons.path("containerd/root"),
        state = daemons.path("containerd/state"),
        socket = daemons.path(SOCKET),
        network = daemons.path("network"),
        mirrors = daemons.path(MIRRORS),
    )
}

/// Sends what is named by a registry's host to another address. containerd reads it at each pull.
pub(super) fn mirror(folder: &Path, host: &str, address: &str) -> Result<()> {
    let mirror = folder.join(MIRRORS).join(host);
    fs::create_dir_all(&mirror).with_context(|| format!("create {}", mirror.display()))?;
    let text = format!(
        "server = \"http://{address}\"\n[host.\"http://{address}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
    );
    fs::write(mirror.join("hosts.toml"), text).with_context(|| format!("mirror {host}"))
}
