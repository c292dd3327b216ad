//! The version stands in Cargo.toml. What repeats it, because it is read as it is, has to agree.

use crate::bundle::{IMAGE, VERSION};
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_norway::Value;
use std::path::{Path, PathBuf};

/// Where documents for people are.
const DOCUMENTS: [&str; 3] = ["README.md", "docs", "deploy/chart/README.md"];
/// What comes before a version in documents, and the character that may end it.
const MENTIONS: [&str; 7] = [
    "quay.io/rh-mobb/ecr-secret-operator:v",
    "quay.io/rh-mobb/ecr-secret-operator-bundle:v",
    "quay.io/rh-mobb/ecr-secret-operator-catalog:v",
    "charts/ecr-secret-operator --version ",
    "rh-mobb/ecr-secret-operator/releases/download/v",
    "release.yaml@refs/tags/v",
    "csv/ecr-secret-operator.v",
];

/// All places that name the version.
///
/// # Errors
/// Some name another one; the message tells where.
pub(super) fn check() -> Result<()> {
    let root = workspace::root();
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut wrong = chart(&read(&root.join("deploy/chart/Chart.yaml"))?)?;
    wrong.extend(changelog(&read(&root.join("CHANGELOG.md"))?));
    for path in documents(&root)? {
        let shown = workspace::shown(&path);
        let text = read(&path)?;
        wrong.extend(mentions(&text).map(|other| format!("{shown} says {other}")));
    }
    if !wrong.is_empty() {
        bail!("Cargo.toml says {VERSION}, but {}", wrong.join("; "));
    }
    Ok(())
}

/// What is wrong in `Chart.yaml`.
fn chart(text: &str) -> Result<Vec<String>> {
    let chart: Value = serde_norway::from_str(text).context("Chart.yaml is no YAML")?;
    let mut wrong = Vec::new();
    for field in ["version", "appVersion"] {
        if chart[field].as_str() != Some(VERSION) {
            wrong.push(format!("Chart.yaml has another {field}"));
        }
    }
    let images = chart["annotations"]["artifacthub.io/images"].as_str();
    if !images.is_some_and(|images| images.contains(IMAGE)) {
        wrong.push(format!("artifacthub.io/images in Chart.yaml lacks {IMAGE}"));
    }
    Ok(wrong)
}

/// The newest section is the version's, or that of what is not released yet.
fn changelog(text: &str) -> Option<String> {
    let heading = text.lines().find_map(|line| line.strip_prefix("## "))?;
    let released = format!("[{VERSION}] - ");
    let good = heading == "[Unreleased]" || heading.starts_with(&released);
    (!good).then(|| format!("CHANGELOG.md begins with {heading}"))
}

/// Other versions that a document names.
fn mentions(text: &str) -> impl Iterator<Item = String> {
    let after = |mention: &'static str| text.split(mention).skip(1);
    MENTIONS.into_iter().flat_map(move |mention| {
        let others = after(mention).filter(|rest| {
            let written = rest.starts_with(|first: char| first.is_ascii_digit());
            let named = rest.strip_prefix(VERSION);
            let is_ours = named.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
            written && !is_ours
        });
        others.map(move |rest| {
            let version = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next();
            format!("{mention}{}", version.unwrap_or_default())
        })
    })
}

fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    let mut left: Vec<PathBuf> = DOCUMENTS.iter().map(|path| root.join(path)).collect();
    let mut files = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn another_version_is_found_wherever_it_stands() {
        let good = format!(
            "version: {VERSION}\nappVersion: {VERSION}\nannotations: {{artifacthub.io/images: '{IMAGE}'}}"
        );
        assert_eq!(chart(&good).unwrap(), Vec::<String>::new());
        assert_eq!(chart(&good.replace(VERSION, "0.9.0")).unwrap().len(), 3);
        assert_eq!(changelog("# C\n\n## [Unreleased]\n"), None);
        assert_eq!(changelog(&format!("## [{VERSION}] - 2026-12-01\n")), None);
        assert!(changelog("## [0.9.0] - 2026-01-01\n").is_some());
        let text = format!("{IMAGE} {IMAGE}1 quay.io/rh-mobb/ecr-secret-operator-bundle:v0.9.0\n");
        let found: Vec<String> = mentions(&text).collect();
        assert_eq!(
            found,
            [
                format!("{IMAGE}1"),
                "quay.io/rh-mobb/ecr-secret-operator-bundle:v0.9.0".to_owned()
            ]
        );
        // A placeholder is no version.
        assert_eq!(mentions("…-operator-bundle:vX.Y.Z").count(), 0);
    }

    #[test]
    fn the_repository_names_one_version() {
        check().unwrap();
    }
}
