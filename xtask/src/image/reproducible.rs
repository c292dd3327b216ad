//! A second build from a copy of the sources elsewhere, as somebody would make it who wants to know what a digest stands for.

use super::build::Place;
use super::layout::Image;
use crate::process::output;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use tokio::process::Command;

/// Copies the sources into the directory, where nothing has been built yet.
///
/// # Errors
/// git cannot list the sources, or they cannot be copied.
pub(super) async fn copy(directory: &Path) -> Result<Place> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    let root = workspace::root();
    let mut list = Command::new("git");
    list.current_dir(&root);
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let sources = directory.join("sources");
    for path in output(list).await?.split_terminator('\0') {
        let (from, to) = (root.join(path), sources.join(path));
        // One that was deleted and not yet committed is still listed.
        if from.is_file() {
            copy_file(&from, &to).with_context(|| format!("cannot copy {path}"))?;
        }
    }
    Ok(Place {
        sources,
        target: directory.join("build"),
    })
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(from, to).map(drop)
}

/// # Errors
/// They differ.
pub(super) fn compare(image: &Image, again: &Image) -> Result<()> {
    if image.digest() != again.digest() {
        bail!(
            "the image for {} is {}, and {} when it is built elsewhere: compare the two binaries",
            image.platform,
            image.digest(),
            again.digest()
        );
    }
    Ok(())
}
