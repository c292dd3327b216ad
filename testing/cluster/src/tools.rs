//! Upstream programs for tests beyond the control plane: OLM, Helm, validators. Each is built with Go from the modules beside
//! those of the control plane, once, into the cache.

use crate::binaries::cache_root;
use crate::build::{self, Program};
use crate::{Error, Progress};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the operator framework's programs are built with.
const OLM_TAGS: &str = "json1,containers_image_openpgp";

/// All programs, by the module below `go/` that they are built in.
const PROGRAMS: [Program; 18] = [
    build::program("kubelet", "kubernetes", "./kubelet"),
    build::program("kube-scheduler", "kubernetes", "./kube-scheduler"),
    build::program("kube-proxy", "kubernetes", "./kube-proxy"),
    build::program(
        "crane",
        "node-tools",
        "github.com/google/go-containerregistry/cmd/crane",
    ),
    build::program("minidns", "node-tools", "./minidns"),
    build::program("grpc-health-probe", "node-tools", "./grpc-health-probe"),
    build::program("helm", "helm", "helm.sh/helm/v4/cmd/helm"),
    build::program("bundle-check", "bundle-check", "."),
    build::program("openshift-check", "openshift-check", "."),
    build::program("argo-repository", "argo-repository", "."),
    build::program(
        "kubeconform",
        "lint-tools",
        "github.com/yannh/kubeconform/cmd/kubeconform",
    ),
    build::program(
        "kube-score",
        "lint-tools",
        "github.com/zegl/kube-score/cmd/kube-score",
    ),
    build::program(
        "actionlint",
        "lint-tools",
        "github.com/rhysd/actionlint/cmd/actionlint",
    ),
    build::program(
        "promtool",
        "promtool",
        "github.com/prometheus/prometheus/cmd/promtool",
    ),
    of_olm(
        "opm",
        "opm",
        "github.com/operator-framework/operator-registry/cmd/opm",
    ),
    of_olm(
        "olm",
        "olm",
        "github.com/operator-framework/operator-lifecycle-manager/cmd/olm",
    ),
    of_olm(
        "catalog",
        "olm",
        "github.com/operator-framework/operator-lifecycle-manager/cmd/catalog",
    ),
    of_olm(
        "cpb",
        "olm",
        "github.com/operator-framework/operator-lifecycle-manager/util/cpb",
    ),
];

const fn of_olm(name: &'static str, module: &'static str, package: &'static str) -> Program {
    Program {
        tags: OLM_TAGS,
        ..build::program(name, module, package)
    }
}

/// The program of this name, built if it is not in the cache. Blocks, for some minutes the first time.
///
/// # Errors
/// There is no such program, no Go, or Go fails.
pub fn program(name: &str, progress: Progress) -> Result<PathBuf, Error> {
    let known = PROGRAMS.iter().find(|program| program.name == name);
    let Some(program) = known else {
        return Err(Error::Unsupported(format!(
            "{name} is no program of testing/cluster"
        )));
    };
    let directory = cache_root()?.join(format!("{}-{}", program.module, versions(program.module)?));
    let path = directory.join(name);
    if !path.is_file() {
        build::one(&directory, program, progress)?;
    }
    Ok(path)
}

/// The source of a Go module that the programs of a folder below `go/` are made of, fetched if Go has not got it.
///
/// # Errors
/// There is no Go, the folder does not require the module, or it cannot be fetched.
pub fn source(folder: &str, module: &str) -> Result<PathBuf, Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Download {
        dir: PathBuf,
    }
    let output = Command::new("go")
        .current_dir(module_directory(folder))
        .args(["mod", "download", "-json", module])
        .output()
        .map_err(|source| Error::Spawn {
            program: "go".to_owned(),
            source,
        })?;
    let answer: Result<Download, _> = serde_json::from_slice(&output.stdout);
    answer.map(|download| download.dir).map_err(|_| {
        let told = String::from_utf8_lossy(&output.stderr);
        Error::Unsupported(format!("go cannot fetch {module}: {}", told.trim()))
    })
}

fn module_directory(module: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("go")
        .join(module)
}

/// Tells the versions of a module's requirements apart, so that other ones are built anew.
fn versions(module: &str) -> Result<String, Error> {
    let path = module_directory(module).join("go.sum");
    let sums = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let mut hasher = DefaultHasher::new();
    sums.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::no_progress;

    #[test]
    fn every_program_has_its_module_and_a_stranger_is_named() {
        for program in PROGRAMS {
            assert!(versions(program.module).is_ok(), "{}", program.name);
        }
        let error = program("nonsense", no_progress).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("nonsense")));
    }
}
