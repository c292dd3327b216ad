//! The bundle, as the programs of the operator framework see it.

use super::here;
use crate::process::{output, run as run_process};
use crate::workspace;
use anyhow::{Context, Result, bail};
use ecr_secret_core::manifests::crds;
use std::path::Path;

/// OLM keeps a bundle in a ConfigMap and copies much of it into each namespace. A client-side apply writes a CRD into an
/// annotation of itself, which has 256 KiB; what is far below leaves room.
const MOST_BYTES: u64 = 100_000;

/// Warnings that are none, and why.
const NO_WARNING: [(&str, &str); 2] = [
    // The channel of the original operator, whose users are on it.
    ("good-practices", "channel(s) [\"alpha\"]"),
    // The validator knows the resource `events` of a version that is gone, and does not look at the version of ours.
    ("", "Migrate the API(s) for events"),
];

/// All validators of operator-framework/api: no error, and no warning but those that are explained.
pub(super) async fn validate(check: &Path) -> Result<()> {
    let ended = here(check).arg("bundle").output().await?;
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    let explained = |line: &str| {
        let words = NO_WARNING.iter();
        line.starts_with("WARN")
            && words
                .into_iter()
                .any(|(validator, text)| line.contains(validator) && line.contains(text))
    };
    let left: Vec<&str> = told
        .lines()
        .filter(|line| !line.trim().is_empty() && !explained(line))
        .collect();
    if !left.is_empty() {
        bail!("{}", left.join("; "));
    }
    if !ended.status.success() {
        bail!("bundle-check: {}", String::from_utf8_lossy(&ended.stderr));
    }
    Ok(())
}

/// The sizes of the bundle's files together, and of each CRD as YAML.
pub(super) fn sizes() -> Result<()> {
    let mut sizes = vec![(
        "the bundle".to_owned(),
        bytes(&workspace::root().join("bundle"))?,
    )];
    for crd in crds() {
        let yaml = serde_norway::to_string(&crd)?;
        let name = crd.metadata.name.unwrap_or_default();
        sizes.push((name, yaml.len().try_into()?));
    }
    for (name, size) in &sizes {
        eprintln!("{name}: {size} bytes");
    }
    if let Some((name, size)) = sizes.iter().find(|(_, size)| *size >= MOST_BYTES) {
        bail!("{name} has {size} bytes, which is not less than {MOST_BYTES}");
    }
    Ok(())
}

fn bytes(path: &Path) -> Result<u64> {
    let metadata = path
        .metadata()
        .with_context(|| format!("cannot read {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut sum = 0;
    for entry in path.read_dir()? {
        sum += bytes(&entry?.path())?;
    }
    Ok(sum)
}

/// Renders the bundle, and lets `opm` judge the catalog that it stands in.
pub(super) async fn catalog(opm: &Path) -> Result<()> {
    let directory = workspace::target().join("catalog");
    // What an earlier run left would be judged, too.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    let mut render = here(opm);
    render.args(["render", "bundle", "--output", "yaml"]);
    let bundle = output(render).await?;
    let channels = crate::bundle::channels();
    std::fs::write(
        directory.join("catalog.yaml"),
        format!("{channels}---\n{bundle}"),
    )?;
    let mut validate = here(opm);
    validate.arg("validate").arg(&directory);
    run_process(validate).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use crate::bundle::{IMAGE, VERSION, files};

    const RELEASE: &str = include_str!("../../../.github/workflows/release.yaml");

    /// The workflow cannot run the generator where it has credentials, so it edits what was generated.
    #[test]
    fn the_release_pins_the_image_as_the_generator_would() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = format!("{IMAGE}@{digest}");
        let [tag, features] = [
            "s|$IMAGE:$TAG|&@$DIGEST|",
            "s|openshift.io/disconnected: 'false'|openshift.io/disconnected: 'true'|",
        ];
        assert!(RELEASE.contains(&format!("sed --in-place \"{tag}; {features}\"")));
        assert!(RELEASE.contains(&format!(
            "IMAGE: {}",
            IMAGE.trim_end_matches(&format!(":v{VERSION}"))
        )));
        for ((path, by_tag), (_, by_digest)) in files(IMAGE).into_iter().zip(files(&pinned)) {
            let edited = if path.ends_with("clusterserviceversion.yaml") {
                by_tag.replace(IMAGE, &pinned).replace(
                    "openshift.io/disconnected: 'false'",
                    "openshift.io/disconnected: 'true'",
                )
            } else {
                by_tag
            };
            assert_eq!(edited, by_digest, "{path}");
        }
    }
}
