//! A real Kubernetes control plane for tests, the demo and the bench, without Docker.
//!
//! etcd, kube-apiserver and kube-controller-manager are the upstream programs. They come from
//! `KUBEBUILDER_ASSETS`, from a cache, or are built with Go from the modules in `testing/cluster/go`
//! (see [`Binaries`]). Each control plane has its own ports, keys and data, and nothing of it outlives
//! the process that started it, even when that process is killed.
//!
//! ```no_run
//! # async fn example() -> Result<(), test_cluster::Error> {
//! let cluster = test_cluster::shared().await?;
//! let namespace = cluster.create_namespace("renewal").await?;
//! let operator = cluster.client_as_service_account(&namespace, "default").await?;
//! # drop(operator); Ok(()) }
//! ```
//!
//! The crate knows nothing of ECR: no CRD, no operator, no AWS.

mod access;
mod binaries;
mod build;
mod control_plane;
mod error;
mod eventually;
mod files;
mod keys;
mod ports;
mod processes;
mod record;
mod registry;
mod shared;
mod tools;

pub use access::Cluster;
pub use binaries::{Binaries, cache_dir, kubernetes_version};
pub use control_plane::{ControlPlane, Controllers, Options};
pub use error::Error;
pub use eventually::{Probe, eventually};
pub use record::{Running, find, shut_down};
pub use registry::Registry;
pub use shared::{KUBECONFIG_VARIABLE, shared};
pub use tools::{program, source};

/// How progress of a long step is reported: one line without a line break.
pub type Progress = fn(&str);

/// Prints progress to standard error.
pub fn print_progress(line: &str) {
    eprintln!("{line}");
}

/// Reports nothing.
pub fn no_progress(_line: &str) {}
