//! Upstream programs for tests beyond the control plane: OLM, Helm, validators. Each is built with Go from the modules beside
//! those of the control plane, once, into the cache.

use crate::binaries::cache_root;
use crate::build::{self, Program};
use crate::{Error, Progress};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// What the operator framework's programs are built with.
const OLM_TAGS: &str = "json1,containers_image_openpgp";

/// All programs, by the module below `go/` that they are built in.
const PROGRAMS: [Program; 16] = [
    tool("kubelet", "kubernetes", "./kubelet"),
    tool("kube-scheduler", "kubernetes", "./kube-scheduler"),
    tool("kube-proxy", "kubernetes", "./kube-proxy"),
    tool(
        "crane",
        "node-tools",
        "github.com/google/go-containerregistry/cmd/crane",
    ),
    tool("minidns", "node-tools", "./minidns"),
    tool("grpc-health-probe", "node-tools", "./grpc-health-probe"),
    tool("helm", "helm", "helm.sh/helm/v4/cmd/helm"),
    tool("bundle-check", "bundle-check", "."),
    tool(
        "kubeconform",
        "lint-tools",
        "github.com/yannh/kubeconform/cmd/kubeconform",
    ),
    tool(
        "kube-score",
        "lint-tools",
        "github.com/zegl/kube-score/cmd/kube-score",
    ),
    tool(
        "actionlint",
        "lint-tools",
        "github.com/rhysd/actionlint/cmd/actionlint",
    ),
    tool(
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

const fn tool(name: &'static str, module: &'static str, package: &'static str) -> Program {
    Program {
        name,
        module,
        package,
        tags: "",
    }
}

const fn of_olm(name: &'static str, module: &'static str, package: &'static str) -> Program {
    Program {
        name,
        module,
        package,
        tags: OLM_TAGS,
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

/// Tells the versions of a module's requirements apart, so that other ones are built anew.
fn versions(module: &str) -> Result<String, Error> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("go")
        .join(module)
        .join("go.sum");
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
