//! What a binary has to be before it goes into the image.

use super::platform::Platform;
use anyhow::{Context, Result, bail};
use flate2::read::ZlibDecoder;
use object::elf::{DT_NEEDED, ET_DYN, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection};
use serde::Deserialize;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where cargo-auditable keeps its list.
const AUDIT_SECTION: &str = ".dep-v0";
/// A list of dependencies is some kilobytes.
const LARGEST_AUDIT: u64 = 1 << 20;

type Header = FileHeader64<Endianness>;

/// The list of dependencies that cargo-auditable keeps in a binary.
#[derive(Debug, Deserialize)]
pub(super) struct Audit {
    pub(super) packages: Vec<AuditedPackage>,
}

/// One dependency, as cargo-auditable writes it.
#[derive(Debug, Deserialize)]
pub(super) struct AuditedPackage {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) source: Source,
    #[serde(default)]
    pub(super) kind: Kind,
    /// Positions in the list.
    #[serde(default)]
    pub(super) dependencies: Vec<usize>,
    #[serde(default)]
    pub(super) root: bool,
}

/// Where a dependency comes from. No other source is allowed here, see `deny.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Source {
    /// This repository.
    #[serde(rename = "local")]
    Local,
    #[serde(rename = "crates.io")]
    CratesIo,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// It is linked into the binary.
    #[default]
    Runtime,
    /// It ran when the binary was built.
    Build,
}

/// Checks that a binary runs alone on its platform, and returns the list of its dependencies.
///
/// # Errors
/// It is for another platform, is linked dynamically, is loaded at a fixed address, names a private path, or has no list.
pub(super) fn check(bytes: &[u8], platform: Platform, private: &[PathBuf]) -> Result<Audit> {
    let file = ElfFile64::<Endianness>::parse(bytes).context("it is no 64-bit ELF executable")?;
    if file.architecture() != platform.machine() {
        bail!(
            "it is built for {:?}, not for {platform}",
            file.architecture()
        );
    }
    check_linkage(&file, bytes)?;
    check_paths(bytes, private)?;
    audit(&file)
}

/// The kernel must be able to start it without a file beside it.
fn check_linkage(file: &ElfFile64<'_, Endianness>, bytes: &[u8]) -> Result<()> {
    let (header, endian): (&Header, _) = (file.elf_header(), file.endian());
    if header.e_type(endian) != ET_DYN {
        bail!(
            "it is no position-independent executable, so it would be loaded at the same address everywhere"
        );
    }
    let segments = header.program_headers(endian, bytes)?;
    for segment in segments {
        if segment.p_type(endian) == PT_INTERP {
            bail!(
                "it is linked dynamically: it asks for a loader (PT_INTERP), which the image does not have"
            );
        }
        for entry in segment.dynamic(endian, bytes)?.unwrap_or_default() {
            if entry.tag(endian) == DT_NEEDED {
                bail!(
                    "it is linked dynamically: it asks for a library (DT_NEEDED), which the image does not have"
                );
            }
        }
    }
    Ok(())
}

/// One pass for all paths, since this is also run unoptimised.
fn check_paths(bytes: &[u8], private: &[PathBuf]) -> Result<()> {
    for (at, _) in bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'/') {
        let found = private
            .iter()
            .find(|path| bytes[at..].starts_with(path.as_os_str().as_bytes()));
        if let Some(path) = found {
            let rest = &bytes[at..bytes.len().min(at + 120)];
            bail!(
                "it names {}, a path of this machine, in {:?}: the compiler or a build script has to rename it",
                path.display(),
                String::from_utf8_lossy(rest)
            );
        }
    }
    Ok(())
}

fn audit(file: &ElfFile64<'_, Endianness>) -> Result<Audit> {
    let section = file.section_by_name(AUDIT_SECTION).with_context(|| {
        format!(
            "it has no list of its dependencies ({AUDIT_SECTION}): build it with cargo-auditable"
        )
    })?;
    let list = ZlibDecoder::new(section.data()?).take(LARGEST_AUDIT);
    serde_json::from_reader(list).context("its list of dependencies cannot be read")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    fn refusal(bytes: &[u8], platform: Platform, private: &[PathBuf]) -> String {
        check(bytes, platform, private).unwrap_err().to_string()
    }

    /// This very test, which every machine that runs it can read; it is linked dynamically.
    fn own() -> (Vec<u8>, Platform, Platform) {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        if cfg!(target_arch = "x86_64") {
            (bytes, Platform::Amd64, Platform::Arm64)
        } else {
            (bytes, Platform::Arm64, Platform::Amd64)
        }
    }

    #[test]
    fn a_dynamically_linked_binary_is_refused() {
        let (bytes, platform, _) = own();
        let told = refusal(&bytes, platform, &[]);
        assert!(told.contains("PT_INTERP"), "{told}");
    }

    #[test]
    fn a_binary_that_needs_libraries_is_refused_even_without_a_loader() {
        let (mut bytes, platform, _) = own();
        let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        // The table of 56-byte segments begins at the offset in byte 32, which is below 64 KiB; its length is in byte 56.
        let (table, length) = (usize::from(number(32)), usize::from(number(56)));
        for segment in (table..).step_by(56).take(length) {
            if u32::from(bytes[segment]) == PT_INTERP {
                bytes[segment] = 0;
            }
        }
        let told = refusal(&bytes, platform, &[]);
        assert!(told.contains("DT_NEEDED"), "{told}");
    }

    #[test]
    fn a_binary_with_a_fixed_address_is_refused() {
        let (mut bytes, platform, _) = own();
        // The type of the file: ET_EXEC.
        bytes[16] = 2;
        let told = refusal(&bytes, platform, &[]);
        assert!(told.contains("position-independent"), "{told}");
    }

    #[test]
    fn a_binary_for_another_platform_is_refused() {
        let (bytes, _, other) = own();
        let told = refusal(&bytes, other, &[]);
        assert!(told.contains("it is built for"), "{told}");
    }

    #[test]
    fn a_binary_without_the_list_of_its_dependencies_is_refused() {
        let (bytes, ..) = own();
        let file = ElfFile64::<Endianness>::parse(&*bytes).unwrap();
        let told = audit(&file).unwrap_err().to_string();
        assert!(told.contains("cargo-auditable"), "{told}");
    }

    #[test]
    fn what_is_no_executable_is_refused() {
        let told = refusal(b"#!/bin/sh\n", Platform::Amd64, &[]);
        assert!(told.contains("no 64-bit ELF"), "{told}");
    }

    #[test]
    fn a_path_of_this_machine_is_refused_with_what_follows_it() {
        let private = [PathBuf::from("/home/me/.cargo")];
        check_paths(b"/home/you/.cargo /home/me/", &private).unwrap();
        let told = check_paths(b"\0\0/home/me/.cargo/registry/x.rs", &private)
            .unwrap_err()
            .to_string();
        assert!(told.contains("x.rs"), "{told}");
    }
}
