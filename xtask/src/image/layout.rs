//! Images as an OCI image layout: a directory with an index of all platforms, and an archive for each.

#[cfg(test)]
mod tests;

use super::config::{self, Labels};
use super::layer::{Entry, Layer, Tree, archive, digest};
use super::platform::Platform;
use crate::bundle;
use crate::workspace::shown;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const BLOBS: &str = "blobs/sha256";

/// The image of one platform.
pub(super) struct Image {
    pub(super) platform: Platform,
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

/// The image of all platforms.
pub(super) struct Layout {
    files: Tree,
    digest: String,
}

impl Image {
    /// The image with one layer.
    pub(super) fn new(platform: Platform, layer: Layer, labels: &Labels, created: &str) -> Self {
        let config = config::config(platform, labels, &layer.diff_id, created);
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": [descriptor(LAYER, &layer.compressed)],
            "annotations": config::annotations(labels, created),
        });
        Self {
            platform,
            layer: layer.compressed,
            config,
            manifest: manifest.to_string().into_bytes(),
        }
    }

    /// The digest of the manifest, by which the image is pulled.
    pub(super) fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// What a node downloads.
    pub(super) fn compressed_size(&self) -> usize {
        self.layer.len() + self.config.len()
    }

    fn descriptor(&self) -> Value {
        let mut descriptor = descriptor(MANIFEST, &self.manifest);
        descriptor["platform"] =
            json!({ "os": "linux", "architecture": self.platform.architecture() });
        descriptor
    }

    /// A layout of this image alone, which is also what `docker save` writes.
    ///
    /// # Errors
    /// It cannot be packed.
    pub(super) fn archive(&self) -> Result<Vec<u8>> {
        let mut files = layout(&self.descriptor());
        self.add_to(&mut files);
        let docker = json!([{
            "Config": path(&self.config),
            "RepoTags": [bundle::IMAGE],
            "Layers": [path(&self.layer)],
        }]);
        add(
            &mut files,
            "manifest.json".to_owned(),
            docker.to_string().into_bytes(),
        );
        archive(&files, 0)
    }

    fn add_to(&self, files: &mut Tree) {
        for blob in [&self.layer, &self.config, &self.manifest] {
            add(files, path(blob), blob.clone());
        }
    }
}

impl Layout {
    /// One index over the images.
    pub(super) fn new(images: &[&Image], labels: &Labels, created: &str) -> Self {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": images.iter().map(|image| image.descriptor()).collect::<Vec<_>>(),
            "annotations": config::annotations(labels, created),
        });
        let index = index.to_string().into_bytes();
        // One entry, which is all platforms: so tools that copy a layout copy all of it under one digest.
        let mut entry = descriptor(INDEX, &index);
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": bundle::VERSION });
        let mut files = layout(&entry);
        for image in images {
            image.add_to(&mut files);
        }
        let digest = digest(&index);
        add(&mut files, path(&index), index);
        Self { files, digest }
    }

    /// The digest of the index, by which the image is pulled on any platform.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Writes the directory anew.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let cannot = || format!("cannot write {}", shown(directory));
        if directory.exists() {
            fs::remove_dir_all(directory).with_context(cannot)?;
        }
        fs::create_dir_all(directory).with_context(cannot)?;
        // Sorted, so a directory comes before what is in it.
        for (path, entry) in &self.files {
            let path = directory.join(path);
            match entry {
                Entry::Directory(_) => fs::create_dir(path),
                Entry::File(_, bytes) => fs::write(path, bytes),
            }
            .with_context(cannot)?;
        }
        Ok(())
    }
}

/// An image layout with one entry, without its blobs.
fn layout(entry: &Value) -> Tree {
    let mut files = Tree::new();
    for directory in ["blobs", BLOBS] {
        files.insert(directory.to_owned(), Entry::Directory(0o755));
    }
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    for (name, content) in [("oci-layout", version), ("index.json", index)] {
        add(
            &mut files,
            name.to_owned(),
            content.to_string().into_bytes(),
        );
    }
    files
}

fn add(files: &mut Tree, path: String, bytes: Vec<u8>) {
    files.insert(path, Entry::File(0o644, bytes));
}

fn path(blob: &[u8]) -> String {
    format!("blobs/{}", digest(blob).replacen(':', "/", 1))
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(blob), "size": blob.len() })
}
