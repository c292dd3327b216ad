//! The one error type of the crate.

use std::io;
use std::path::PathBuf;

/// Why a control plane could not be had, used or ended. Every message is one line, names its object
/// and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no binaries, and no Go to build them with.
    #[error(
        "no Kubernetes control plane binaries: install Go {go} or newer (https://go.dev/dl) to build them, or set \
         KUBEBUILDER_ASSETS to a directory with kube-apiserver, etcd and kubectl"
    )]
    NoBinaries {
        /// The Go version that the modules ask for.
        go: String,
    },
    /// `KUBEBUILDER_ASSETS` is set, but a program is not there.
    #[error("KUBEBUILDER_ASSETS={directory} has no {program}: put it there, or unset the variable")]
    IncompleteAssets {
        /// The directory that the variable names.
        directory: PathBuf,
        /// The program that is missing.
        program: &'static str,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` says where a cache may be.
    #[error("no place for the cache of control plane binaries: set XDG_CACHE_HOME or HOME")]
    NoCacheDirectory,
    /// Go could not build a program.
    #[error("cannot build {program} with Go: {reason}")]
    Build {
        /// The program.
        program: &'static str,
        /// The last lines that Go printed.
        reason: String,
    },
    /// A file or a directory could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried, for instance `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program, as it was called.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A part of the control plane ended or did not become ready.
    #[error("{program} {problem}; the last lines of {log}:\n{tail}")]
    NotReady {
        /// The program.
        program: &'static str,
        /// What is wrong with it.
        problem: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A key or a certificate could not be made.
    #[error("cannot make the API server's keys: {0}")]
    Keys(#[from] rcgen::Error),
    /// No free TCP port was found.
    #[error("no free TCP port on 127.0.0.1 between {0} and {1}")]
    NoPort(u16, u16),
    /// The options cannot be served, for instance by the binaries at hand.
    #[error("{0}")]
    Unsupported(String),
    /// A kubeconfig could not be used.
    #[error("cannot use the kubeconfig {path}: {reason}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The API server refused or failed a request.
    #[error("cannot {action} {object}: {source}")]
    Api {
        /// What was tried, for instance `create`.
        action: &'static str,
        /// The object, for instance `namespace shop-x7`.
        object: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// kubectl ended with an error.
    #[error("kubectl {arguments}: {stderr}")]
    Kubectl {
        /// Its arguments, separated by spaces.
        arguments: String,
        /// What it printed.
        stderr: String,
    },
}

impl Error {
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    pub(crate) fn api(
        action: &'static str,
        object: impl Into<String>,
    ) -> impl FnOnce(kube::Error) -> Self {
        let object = object.into();
        move |source| Self::Api {
            action,
            object,
            source: Box::new(source),
        }
    }
}
