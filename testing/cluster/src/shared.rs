//! One control plane for all tests of a process, or of a whole run.

use crate::{Cluster, ControlPlane, Error, Options};
use std::path::PathBuf;
use tokio::sync::OnceCell;

/// The environment variable that names the kubeconfig of a control plane that runs already.
pub const KUBECONFIG_VARIABLE: &str = "TEST_CLUSTER_KUBECONFIG";

enum Shared {
    Own(Box<ControlPlane>),
    Given(Box<Cluster>),
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();

/// The control plane that tests share: the one that `TEST_CLUSTER_KUBECONFIG` names (`cargo xtask test` sets it for
/// the whole run), else one that the first caller in this process starts. Tests keep apart by namespaces.
///
/// # Errors
/// As [`ControlPlane::start`]; the kubeconfig of the variable cannot be used. The next caller tries again.
pub async fn shared() -> Result<&'static Cluster, Error> {
    let shared = SHARED
        .get_or_try_init(|| async {
            match std::env::var_os(KUBECONFIG_VARIABLE).filter(|value| !value.is_empty()) {
                Some(path) => Cluster::from_kubeconfig(&PathBuf::from(path))
                    .await
                    .map(|given| Shared::Given(Box::new(given))),
                None => ControlPlane::start(Options::default())
                    .await
                    .map(|started| Shared::Own(Box::new(started))),
            }
        })
        .await?;
    Ok(match shared {
        Shared::Own(control_plane) => control_plane,
        Shared::Given(cluster) => cluster,
    })
}
