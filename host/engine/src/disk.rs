//! Machine code on the disk, so that a restart compiles nothing.
//!
//! One file a module, named by the module's digest and by the engine that the code is for. A file is taken only if it is
//! an ordinary one that belongs to this user, that nobody else can write, and whose checksum is right over the code, the
//! module and the engine. So what is damaged, cut short, put under another name, or made by another version or
//! configuration is found, removed, and compiled anew. The directory has to be one that no tenant can write:
//! the checksum is against accidents and not against somebody who can write there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use crate::{
    compile::{Artifact, CompileCost, number},
    inspect::Inspection,
    limits::wide,
    policy::Interface,
};

/// Where and how much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// A directory in which a directory is made that only this user can use.
    pub directory: PathBuf,
    /// Bytes of all files. What was not used for the longest time goes.
    pub bytes: u64,
}

/// Begins every file, and changes with its form.
const MAGIC: &[u8; 8] = b"ecr-aot2";
const CHECKSUM: usize = 32;
/// Four numbers of eight bytes, and one byte for the interface and the imports.
const HEADER: usize = 33;
/// Marks code of a module that imports WASI.
const WASI: u8 = 0x80;
/// The directory's name within the one that is given.
const OWN: &str = "policies";
/// A file is marked as used at most so often.
const MARK: Duration = Duration::from_mins(10);

/// The code of a module, with what is known of the module itself, so that it can be used without it.
pub(crate) struct Kept {
    pub(crate) artifact: Artifact,
    pub(crate) inspection: Inspection,
    pub(crate) module_bytes: usize,
}

impl Kept {
    fn header(&self) -> [u8; HEADER] {
        let cpu = u64::try_from(self.artifact.cost.cpu.as_micros()).unwrap_or(u64::MAX);
        let numbers = [
            cpu,
            self.artifact.cost.memory_bytes,
            wide(self.module_bytes),
            self.inspection.instances,
        ];
        let mut header = [0; HEADER];
        for (place, number) in header.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let Interface::V1 = self.inspection.interface;
        header[HEADER - 1] = 1 | if self.inspection.uses_wasi { WASI } else { 0 };
        header
    }

    fn read(content: &[u8]) -> Option<Self> {
        let (header, code) = content.split_at_checked(HEADER)?;
        let kind = header[HEADER - 1];
        let interface = match kind & !WASI {
            1 => Interface::V1,
            _ => return None,
        };
        Some(Self {
            artifact: Artifact {
                code: code.to_vec(),
                cost: CompileCost {
                    cpu: Duration::from_micros(number(header, 0)?),
                    memory_bytes: number(header, 8)?,
                },
            },
            inspection: Inspection {
                interface,
                uses_wasi: kind & WASI != 0,
                instances: number(header, 24)?,
            },
            module_bytes: usize::try_from(number(header, 16)?).ok()?,
        })
    }
}

/// The files of one engine.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    /// Tells engines apart: another version of wasmtime, another processor, another configuration.
    engine: String,
    bytes: u64,
}

impl Disk {
    /// Opens the directory, and makes it if it is not there.
    pub(crate) fn open(options: &DiskOptions, engine: &Engine) -> io::Result<Self> {
        let directory = options.directory.join(OWN);
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let metadata = fs::symlink_metadata(&directory)?;
        if !metadata.is_dir() || !is_ours(&metadata) {
            return Err(io::Error::other(format!(
                "{} belongs to somebody else or can be written by others",
                directory.display()
            )));
        }
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            directory,
            engine: hex::encode(hasher.0.finalize()),
            bytes: options.bytes,
        })
    }

    /// The code of a module, if it is here and whole.
    pub(crate) fn get(&self, digest: &str) -> Option<Kept> {
        let path = self.path(digest);
        match self.read(&path, digest) {
            Ok(kept) => Some(kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(module = digest, %error, "compiled code on the disk is not used, it is made anew");
                // Not being able to remove it is no harm: it is not used the next time either.
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps the code of a module. That it cannot be kept is logged and does no other harm.
    pub(crate) fn put(&self, digest: &str, kept: &Kept) {
        if let Err(error) = self.write(digest, kept).and_then(|()| self.tidy()) {
            tracing::warn!(module = digest, %error, "compiled code could not be kept on the disk");
        }
    }

    /// Removes a file whose content turned out to be of no use.
    pub(crate) fn forget(&self, digest: &str) {
        let _ = fs::remove_file(self.path(digest));
    }

    fn path(&self, digest: &str) -> PathBuf {
        // The digest of a module is of hexadecimal digits; half of the engine's is plenty to tell engines apart.
        self.directory
            .join(format!("{digest}-{}.aot", &self.engine[..32]))
    }

    fn read(&self, path: &Path, digest: &str) -> io::Result<Kept> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(i32::from_ne_bytes(
                rustix::fs::OFlags::NOFOLLOW.bits().to_ne_bytes(),
            ))
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || !is_ours(&metadata) {
            return Err(io::Error::other("it is not a file of this user alone"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        let rest = bytes
            .strip_prefix(MAGIC)
            .and_then(|bytes| bytes.split_at_checked(CHECKSUM));
        let Some((checksum, content)) = rest else {
            return Err(io::Error::other("it is not a file of this version"));
        };
        if checksum != self.checksum(digest, content).as_slice() {
            return Err(io::Error::other("its checksum is wrong"));
        }
        let kept = Kept::read(content).ok_or_else(|| io::Error::other("it is cut short"))?;
        mark(&file, &metadata);
        Ok(kept)
    }

    fn write(&self, digest: &str, kept: &Kept) -> io::Result<()> {
        let mut content = kept.header().to_vec();
        content.extend_from_slice(&kept.artifact.code);
        let path = self.path(digest);
        // It appears whole, whatever happens meanwhile.
        let temporary = path.with_extension(format!("new-{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        let written = file
            .write_all(MAGIC)
            .and_then(|()| file.write_all(self.checksum(digest, &content).as_slice()))
            .and_then(|()| file.write_all(&content))
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn checksum(&self, digest: &str, content: &[u8]) -> [u8; CHECKSUM] {
        let mut hash = Sha256::new();
        hash.update(self.engine.as_bytes());
        hash.update(digest.as_bytes());
        hash.update(content);
        hash.finalize().into()
    }

    /// Removes the files that were not used for the longest time, until the rest fits.
    fn tidy(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // It may be gone already.
            if let Ok(metadata) = entry.metadata() {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        files.sort_unstable();
        for (_, length, path) in files {
            if total <= self.bytes {
                break;
            }
            fs::remove_file(path)?;
            total = total.saturating_sub(length);
        }
        Ok(())
    }
}

/// Notes the use of a file, so that [`Disk::tidy`] knows it.
fn mark(file: &File, metadata: &fs::Metadata) {
    let now = SystemTime::now();
    let old = metadata
        .modified()
        .is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > MARK));
    if old {
        // The file is open for reading only, which is enough for its owner to set its time.
        let _ = file.set_modified(now);
    }
}

/// Whether something belongs to this user and nobody else can write it.
fn is_ours(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

/// SHA-256 for what can only be hashed by the standard library's trait.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0 // nobody asks: the whole digest is taken
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{Limits, config};

    fn disk(directory: &Path, bytes: u64) -> Disk {
        let engine = config::compiler(&Limits::default()).unwrap();
        let directory = directory.to_owned();
        Disk::open(&DiskOptions { directory, bytes }, &engine).unwrap()
    }

    fn kept(code: &[u8]) -> Kept {
        Kept {
            artifact: Artifact {
                code: code.to_vec(),
                cost: CompileCost {
                    cpu: Duration::from_millis(7),
                    memory_bytes: 9,
                },
            },
            inspection: Inspection {
                interface: Interface::V1,
                uses_wasi: true,
                instances: 3,
            },
            module_bytes: 5,
        }
    }

    #[test]
    fn what_is_kept_is_found_again_and_only_under_its_own_digest() {
        let directory = tempfile::tempdir().unwrap();
        let disk = disk(directory.path(), 1 << 20);
        assert!(disk.get("aa").is_none());
        disk.put("aa", &kept(b"code"));
        let found = disk.get("aa").unwrap();
        assert_eq!(found.artifact.code, b"code");
        assert_eq!(found.artifact.cost, kept(b"").artifact.cost);
        assert_eq!(
            (found.inspection, found.module_bytes),
            (kept(b"").inspection, 5)
        );
        fs::rename(disk.path("aa"), disk.path("bb")).unwrap();
        assert!(disk.get("bb").is_none(), "a file under another name");
        assert!(!disk.path("bb").exists(), "and it is removed");
    }

    #[test]
    fn a_damaged_cut_or_foreign_file_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let disk = disk(directory.path(), 1 << 20);
        disk.put("aa", &kept(b"some code"));
        let whole = fs::read(disk.path("aa")).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(disk.path("aa"), &damaged).unwrap();
            assert!(disk.get("aa").is_none(), "byte {at} was changed");
            fs::write(disk.path("aa"), &whole[..at]).unwrap();
            assert!(disk.get("aa").is_none(), "cut after {at} bytes");
        }
        fs::write(disk.path("aa"), &whole).unwrap();
        fs::set_permissions(disk.path("aa"), PermissionsExt::from_mode(0o666)).unwrap();
        assert!(disk.get("aa").is_none(), "others could have written it");
        fs::write(directory.path().join("elsewhere"), &whole).unwrap();
        std::os::unix::fs::symlink(directory.path().join("elsewhere"), disk.path("aa")).unwrap();
        assert!(disk.get("aa").is_none(), "a link");
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join(OWN);
        fs::create_dir(&own).unwrap();
        fs::set_permissions(&own, PermissionsExt::from_mode(0o777)).unwrap();
        let engine = config::compiler(&Limits::default()).unwrap();
        let options = DiskOptions {
            directory: directory.path().to_owned(),
            bytes: 1,
        };
        assert!(Disk::open(&options, &engine).is_err());
    }

    #[test]
    fn the_files_that_were_not_used_for_the_longest_time_go_first() {
        let directory = tempfile::tempdir().unwrap();
        let disk = disk(directory.path(), 2_500);
        let hours = |ago: u64| SystemTime::now() - Duration::from_secs(3600 * ago);
        for (digest, age) in [("aa", 3), ("bb", 2)] {
            disk.put(digest, &kept(&[0; 1000]));
            let file = File::options().write(true).open(disk.path(digest)).unwrap();
            file.set_modified(hours(age)).unwrap();
        }
        assert!(disk.get("aa").is_some(), "which marks it as used");
        disk.put("cc", &kept(&[0; 1000]));
        assert!(disk.get("bb").is_none());
        assert!(disk.get("aa").is_some() && disk.get("cc").is_some());
    }

    #[test]
    fn another_configuration_has_files_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let options = DiskOptions {
            directory: directory.path().to_owned(),
            bytes: 1 << 20,
        };
        let mut other = wasmtime::Config::new();
        other.consume_fuel(false);
        let other = Disk::open(&options, &Engine::new(&other).unwrap()).unwrap();
        other.put("aa", &kept(b"code"));
        assert!(disk(directory.path(), 1 << 20).get("aa").is_none());
        assert!(other.get("aa").is_some());
    }
}
