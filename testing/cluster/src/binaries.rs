//! Where the programs of the control plane are found, and which versions they have.

use crate::{Error, Progress, build};
use std::env;
use std::path::{Path, PathBuf};

// The versions come from one place: the go.mod files that the programs are built with.
const KUBERNETES_VERSION_SOURCE: &str = include_str!("../go/kubernetes/go.mod");
const ETCD_VERSION_SOURCE: &str = include_str!("../go/etcd/go.mod");

/// The environment variable of the envtest convention: a directory with ready programs.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The programs of a control plane, as absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The store.
    pub etcd: PathBuf,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The controllers; `KUBEBUILDER_ASSETS` need not have them.
    pub kube_controller_manager: Option<PathBuf>,
    /// The client.
    pub kubectl: PathBuf,
}

impl Binaries {
    /// Finds the programs in `KUBEBUILDER_ASSETS` if it is set, else in the cache; none when the cache
    /// is not complete.
    ///
    /// # Errors
    /// `KUBEBUILDER_ASSETS` is set and lacks a program, or no place for a cache is known.
    pub fn find() -> Result<Option<Self>, Error> {
        if let Some(directory) = env::var_os(ASSETS).filter(|value| !value.is_empty()) {
            return Self::of_assets(Path::new(&directory)).map(Some);
        }
        Ok(Self::of_cache(&cache_dir()?))
    }

    /// Finds the programs as [`Binaries::find`] does, else builds them with Go into the cache. This blocks,
    /// on a cold start for some minutes; several processes do not build at the same time.
    ///
    /// # Errors
    /// As [`Binaries::find`]; there is no Go; Go fails.
    pub fn ensure(progress: Progress) -> Result<Self, Error> {
        if let Some(found) = Self::find()? {
            return Ok(found);
        }
        let cache = cache_dir()?;
        build::fill(&cache, progress)?;
        Self::of_cache(&cache).ok_or(Error::Build {
            program: "the control plane",
            reason: format!(
                "{} is not complete after the build; remove it and try again",
                cache.display()
            ),
        })
    }

    fn of_assets(directory: &Path) -> Result<Self, Error> {
        let directory = directory
            .canonicalize()
            .unwrap_or_else(|_| directory.to_owned());
        let required = |program| {
            existing(&directory, program).ok_or_else(|| Error::IncompleteAssets {
                directory: directory.clone(),
                program,
            })
        };
        Ok(Self {
            etcd: required("etcd")?,
            kube_apiserver: required("kube-apiserver")?,
            kube_controller_manager: existing(&directory, "kube-controller-manager"),
            kubectl: required("kubectl")?,
        })
    }

    fn of_cache(directory: &Path) -> Option<Self> {
        Some(Self {
            etcd: existing(directory, "etcd")?,
            kube_apiserver: existing(directory, "kube-apiserver")?,
            kube_controller_manager: Some(existing(directory, "kube-controller-manager")?),
            kubectl: existing(directory, "kubectl")?,
        })
    }
}

fn existing(directory: &Path, program: &str) -> Option<PathBuf> {
    let path = directory.join(program);
    path.is_file().then_some(path)
}

/// The directory of the cached programs: below `XDG_CACHE_HOME` or `~/.cache`, with the versions in its name.
///
/// # Errors
/// Neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache_dir() -> Result<PathBuf, Error> {
    Ok(cache_root()?.join(format!(
        "kubernetes-{}-etcd-{}",
        kubernetes_version(),
        required(ETCD_VERSION_SOURCE, "go.etcd.io/etcd/server/v3")
    )))
}

/// Where all programs are cached.
pub(crate) fn cache_root() -> Result<PathBuf, Error> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let root = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .ok_or(Error::NoCacheDirectory)?;
    Ok(root.join("ecr-secret-operator"))
}

/// The Kubernetes version that is built, for instance `v1.36.3`.
pub fn kubernetes_version() -> &'static str {
    required(KUBERNETES_VERSION_SOURCE, "k8s.io/kubernetes")
}

/// The Go version that the modules need, for instance `1.26.0`.
pub(crate) fn go_version() -> &'static str {
    word_after(KUBERNETES_VERSION_SOURCE, "go").unwrap_or("1.26")
}

/// The version of a module in the text of a go.mod.
fn required(go_mod: &'static str, module: &str) -> &'static str {
    word_after(go_mod, module)
        .or_else(|| word_after(go_mod, &format!("require {module}")))
        .unwrap_or("unknown")
}

fn word_after(text: &'static str, start: &str) -> Option<&'static str> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(start)?.strip_prefix(' ')?;
        rest.split_whitespace().next()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_versions_are_read_from_the_go_modules() {
        assert!(kubernetes_version().starts_with("v1."));
        assert!(required(ETCD_VERSION_SOURCE, "go.etcd.io/etcd/server/v3").starts_with("v3."));
        assert!(go_version().starts_with("1."));
    }

    #[test]
    fn assets_that_lack_a_program_are_refused_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        for program in ["etcd", "kubectl"] {
            std::fs::write(directory.path().join(program), "").unwrap();
        }
        let message = Binaries::of_assets(directory.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains("has no kube-apiserver"), "{message}");
    }

    #[test]
    fn assets_need_no_controller_manager_but_the_cache_does() {
        let directory = tempfile::tempdir().unwrap();
        for program in ["etcd", "kubectl", "kube-apiserver"] {
            std::fs::write(directory.path().join(program), "").unwrap();
        }
        let found = Binaries::of_assets(directory.path()).unwrap();
        assert_eq!(found.kube_controller_manager, None);
        assert_eq!(Binaries::of_cache(directory.path()), None);
    }
}
