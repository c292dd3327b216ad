//! Builds the programs of the control plane with Go into the cache.

use crate::binaries::{go_version, kubernetes_version};
use crate::files::last_lines;
use crate::{Error, Progress};
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a long build says that it is still at work.
const REPORT_EVERY: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(200);

/// A program, and what it is built of.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The Go module below `go/`.
    pub(crate) module: &'static str,
    /// The package in it.
    pub(crate) package: &'static str,
    /// Build tags, separated by commas.
    pub(crate) tags: &'static str,
}

/// A program that needs no tags.
pub(crate) const fn program(
    name: &'static str,
    module: &'static str,
    package: &'static str,
) -> Program {
    Program {
        name,
        module,
        package,
        tags: "",
    }
}

/// The programs of a control plane. The small ones come first, so that a machine where Go does not work says so early.
const PROGRAMS: [Program; 5] = [
    program("oci-registry", "registry", "."),
    program("etcd", "etcd", "."),
    program("kubectl", "kubernetes", "./kubectl"),
    program("kube-apiserver", "kubernetes", "./kube-apiserver"),
    program(
        "kube-controller-manager",
        "kubernetes",
        "./kube-controller-manager",
    ),
];

/// Builds what is missing in `cache`. A program appears under its name only when it is whole.
pub(crate) fn fill(cache: &Path, progress: Progress) -> Result<(), Error> {
    ensure(cache, &PROGRAMS, progress)
}

/// Builds one program into a directory, unless it is there.
pub(crate) fn one(cache: &Path, program: &Program, progress: Progress) -> Result<(), Error> {
    ensure(cache, std::slice::from_ref(program), progress)
}

fn ensure(cache: &Path, programs: &[Program], progress: Progress) -> Result<(), Error> {
    if !go_works() {
        return Err(Error::NoBinaries {
            go: go_version().to_owned(),
        });
    }
    fs::create_dir_all(cache).map_err(Error::file("create", cache))?;
    let _lock = lock(cache, progress)?;
    for program in programs {
        if !cache.join(program.name).is_file() {
            build(cache, program, progress)?;
        }
    }
    Ok(())
}

fn go_works() -> bool {
    Command::new("go")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Held until it is dropped; the kernel frees it when the process dies.
fn lock(cache: &Path, progress: Progress) -> Result<File, Error> {
    let path = cache.join("build.lock");
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            progress("waiting for another process that builds the control plane");
        }
        Err(TryLockError::Error(source)) => return Err(Error::file("lock", &path)(source)),
    }
    file.lock().map_err(Error::file("lock", &path))?;
    Ok(file)
}

fn build(cache: &Path, source: &Program, progress: Progress) -> Result<(), Error> {
    let program = source.name;
    let started = Instant::now();
    progress(&format!(
        "building {program} with Go (once; it goes to {})",
        cache.display()
    ));
    let temporary = cache.join(format!(".{program}.new"));
    let log = cache.join(format!("{program}.log"));
    let output = File::create(&log).map_err(Error::file("create", &log))?;
    let mut child = command(source, &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .map_err(|source| Error::Spawn {
            program: "go".to_owned(),
            source,
        })?;
    let success = wait(&mut child, program, started, progress)?;
    if !success {
        let reason = last_lines(&log, 5);
        // The half-built file is of no use; that it may not exist is fine.
        let _ = fs::remove_file(&temporary);
        return Err(Error::Build { program, reason });
    }
    let target = cache.join(program);
    fs::rename(&temporary, &target).map_err(Error::file("rename to", &target))?;
    // A log of a good build says nothing; that it may not exist is fine.
    let _ = fs::remove_file(&log);
    progress(&format!(
        "built {program} in {} s",
        started.elapsed().as_secs()
    ));
    Ok(())
}

fn command(program: &Program, output: &Path) -> Command {
    let mut command = Command::new("go");
    // The version flags matter: kubectl and OLM parse the version that the server tells.
    let version = kubernetes_version();
    let mut numbers = version.trim_start_matches('v').split('.');
    let prefix = "-X k8s.io/component-base/version";
    let flags = format!(
        "-s -w {prefix}.gitVersion={version} {prefix}.gitMajor={} {prefix}.gitMinor={}",
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("go")
        .join(program.module);
    command
        .current_dir(directory)
        .env("CGO_ENABLED", "0")
        // Not stamped with the repository's state, which a cache must not depend on.
        .env("GOFLAGS", "-buildvcs=false")
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(output)
        .args(["-tags", program.tags])
        .arg(program.package);
    command
}

fn wait(
    child: &mut Child,
    program: &str,
    started: Instant,
    progress: Progress,
) -> Result<bool, Error> {
    let mut reported = Instant::now();
    loop {
        let status = child.try_wait().map_err(|source| Error::Spawn {
            program: "go".to_owned(),
            source,
        })?;
        if let Some(status) = status {
            return Ok(status.success());
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            progress(&format!(
                "building {program}: {} s",
                started.elapsed().as_secs()
            ));
        }
        thread::sleep(POLL_EVERY);
    }
}
