//! The licences of everything that is linked into the binary, which ask to be passed on with it.

use super::binary::{Kind, Source};
use super::dependencies::Dependency;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// How names of files begin that hold a licence or a notice.
const BEGINNINGS: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "UNLICENSE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
];
const LINE: &str =
    "================================================================================";

/// One text for all: the packages with their licences, and each text once with the packages that it is of.
///
/// # Errors
/// Sources cannot be read.
pub(super) fn notices(dependencies: &[Dependency]) -> Result<String> {
    let mut list = "The image holds parts of these packages, and of Rust's standard library (MIT OR Apache-2.0) and \
                    musl (MIT).\n\n"
        .to_owned();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for dependency in dependencies
        .iter()
        .filter(|dependency| is_foreign(dependency))
    {
        let name = format!("{} {}", dependency.audited.name, dependency.audited.version);
        let license = dependency.license.as_deref().unwrap_or("see below");
        // Writing to a String does not fail.
        let _ = writeln!(list, "{name}: {license}");
        for text in texts_of(&dependency.directory)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    for (text, names) in texts {
        let names = Vec::from_iter(names).join(", ");
        let _ = write!(list, "\n{LINE}\n{names}\n\n{}\n", text.trim_end());
    }
    Ok(list)
}

fn is_foreign(dependency: &Dependency) -> bool {
    dependency.audited.kind == Kind::Runtime && dependency.audited.source != Source::Local
}

fn texts_of(directory: &Path) -> Result<Vec<String>> {
    let read = || format!("cannot read {}", directory.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).with_context(read)? {
        let entry = entry.with_context(read)?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if BEGINNINGS.iter().any(|word| name.starts_with(word)) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    let text = |path: PathBuf| {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
    };
    files.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use crate::image::dependencies::tests::some;

    #[test]
    fn each_text_is_there_once_and_what_only_ran_in_the_build_is_not() {
        let directory = std::env::temp_dir().join(format!("xtask-notices-{}", std::process::id()));
        for (package, file, text) in [
            ("linked", "LICENSE-MIT", "Copyright somebody\n"),
            ("linked", "license-old.txt", "Copyright somebody\r\n"),
            ("linked", "README.md", "readme"),
            ("build-tool", "LICENSE", "only built"),
            ("operator", "LICENSE", "ours"),
            ("webpki-root-certs", "LICENSE", "data"),
        ] {
            fs::create_dir_all(directory.join(package)).unwrap();
            fs::write(directory.join(package).join(file), text).unwrap();
        }
        let notices = notices(&some(&directory)).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert!(
            notices.contains("\nlinked 1.2.0: MIT OR Apache-2.0\n"),
            "{notices}"
        );
        assert!(
            notices.contains("webpki-root-certs 1.0.11\n\ndata\n"),
            "{notices}"
        );
        assert_eq!(notices.matches("Copyright somebody").count(), 1);
        for absent in ["readme", "only built", "ours", "build-tool"] {
            assert!(!notices.contains(absent), "{absent}");
        }
    }
}
