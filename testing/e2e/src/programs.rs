//! The upstream programs that are needed, built with Go where they are not in the cache.

use crate::lanes::workload;
use anyhow::{Context, Result};
use std::path::PathBuf;
use test_cluster::{Binaries, print_progress};

/// Those of the node, its images and OLM.
const NODE: [&str; 11] = [
    "kubelet",
    "kube-scheduler",
    "kube-proxy",
    "crane",
    "minidns",
    "grpc-health-probe",
    "helm",
    "opm",
    "olm",
    "catalog",
    "cpb",
];

/// Builds all that are missing. Inside the node's network namespace nothing can be fetched any more.
///
/// # Errors
/// There is no Go, or it fails.
pub async fn build() -> Result<()> {
    control_plane().await?;
    for name in NODE.iter().chain(workload::PROGRAMS) {
        program(name).await?;
    }
    olm_source().await?;
    Ok(())
}

/// One program by its name.
///
/// # Errors
/// It is not known, or cannot be built.
pub async fn program(name: &str) -> Result<PathBuf> {
    let wanted = name.to_owned();
    tokio::task::spawn_blocking(move || test_cluster::program(&wanted, print_progress))
        .await?
        .with_context(|| format!("get the program {name}"))
}

/// The programs of the control plane.
///
/// # Errors
/// They cannot be built.
pub async fn control_plane() -> Result<Binaries> {
    tokio::task::spawn_blocking(|| Binaries::ensure(print_progress))
        .await?
        .context("get the programs of the control plane")
}

/// The source of OLM, where its chart is.
///
/// # Errors
/// Go cannot fetch it.
pub async fn olm_source() -> Result<PathBuf> {
    const MODULE: &str = "github.com/operator-framework/operator-lifecycle-manager";
    tokio::task::spawn_blocking(|| test_cluster::source("olm", MODULE))
        .await?
        .context("get the source of OLM")
}
