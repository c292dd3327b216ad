//! The lanes in their order.

pub mod footprint;
pub mod olm_modes;
pub mod olm_uninstall;
pub mod olm_upgrade;
pub mod workload;

use crate::World;
use anyhow::Result;
use clap::ValueEnum;

/// A series of proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lane {
    /// OLM installs our bundle in each install mode
    Modes,
    /// Pods, builds, Helm, Argo CD and both identities
    Workload,
    /// From the original operator to this one and to the next
    Upgrade,
    /// OLM takes the operator away and brings it back
    Uninstall,
    /// Start, memory and processor time
    Footprint,
}

impl Lane {
    /// What is printed above its proofs.
    pub fn title(self) -> &'static str {
        match self {
            Self::Modes => "OLM: install modes",
            Self::Workload => "workloads",
            Self::Upgrade => "OLM: upgrade",
            Self::Uninstall => "OLM: uninstall",
            Self::Footprint => "footprint",
        }
    }

    /// Makes its proofs.
    ///
    /// # Errors
    /// Something went wrong outside of a proof.
    pub async fn run(self, world: &World) -> Result<()> {
        match self {
            Self::Modes => olm_modes::run(world).await,
            Self::Workload => workload::run(world).await,
            Self::Upgrade => olm_upgrade::run(world).await,
            Self::Uninstall => olm_uninstall::run(world).await,
            Self::Footprint => footprint::run(world).await,
        }
    }
}

/// The chosen lanes, all when none is chosen, in their order.
pub fn chosen(only: &[Lane]) -> Vec<Lane> {
    let lanes = Lane::value_variants().iter().copied();
    lanes
        .filter(|lane| only.is_empty() || only.contains(lane))
        .collect()
}
