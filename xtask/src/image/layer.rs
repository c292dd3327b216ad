//! Files packed so that the same files give the same bytes: sorted, owned by root, and all of one time.

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use tar::{Builder, EntryType, Header};

/// What lies at a path.
pub(super) enum Entry {
    /// A directory, with its mode.
    Directory(u32),
    /// A file, with its mode and its bytes.
    File(u32, Vec<u8>),
}

/// Entries by their paths, which are relative to the root.
pub(super) type Tree = BTreeMap<String, Entry>;

/// The one layer of an image.
pub(super) struct Layer {
    /// What is stored in a registry.
    pub(super) compressed: Vec<u8>,
    /// The digest of what is unpacked.
    pub(super) diff_id: String,
}

/// A digest as registries write it.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A tar archive of the tree.
///
/// # Errors
/// A path is too long for the format.
pub(super) fn archive(tree: &Tree, seconds: u64) -> Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (path, entry) in tree {
        let mut header = Header::new_ustar();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(seconds);
        let (kind, mode, bytes) = match entry {
            Entry::Directory(mode) => (EntryType::Directory, mode, [].as_slice()),
            Entry::File(mode, bytes) => (EntryType::Regular, mode, bytes.as_slice()),
        };
        header.set_entry_type(kind);
        header.set_mode(*mode);
        header.set_size(bytes.len().try_into()?);
        archive
            .append_data(&mut header, path, bytes)
            .with_context(|| format!("cannot pack {path}"))?;
    }
    Ok(archive.into_inner()?)
}

/// The tree as a layer.
///
/// # Errors
/// A path is too long for the format.
pub(super) fn layer(tree: &Tree, seconds: u64) -> Result<Layer> {
    let archive = archive(tree, seconds)?;
    // The head holds no time and no name, unless they are set.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&archive)?;
    Ok(Layer {
        compressed: encoder.finish()?,
        diff_id: digest(&archive),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use std::io::Read;

    fn entries() -> [(String, Entry); 3] {
        [
            ("bin/b".to_owned(), Entry::File(0o755, b"program".to_vec())),
            ("a".to_owned(), Entry::File(0o644, b"text".to_vec())),
            ("bin".to_owned(), Entry::Directory(0o755)),
        ]
    }

    #[test]
    fn the_same_files_in_any_order_give_the_same_bytes() {
        let tree = Tree::from(entries());
        let mut reversed = entries();
        reversed.reverse();
        let again = layer(&Tree::from(reversed), 5).unwrap();
        let layer = layer(&tree, 5).unwrap();
        assert_eq!(layer.compressed, again.compressed);
        assert_eq!(layer.diff_id, again.diff_id);
        // Bytes 4 to 7 of gzip are a time.
        assert_eq!(layer.compressed[4..8], [0; 4]);
    }

    #[test]
    fn a_layer_holds_sorted_entries_of_root_with_the_given_time() {
        let layer = layer(&Tree::from(entries()), 1_700_000_000).unwrap();
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&layer.compressed[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(digest(&unpacked), layer.diff_id);
        let mut archive = tar::Archive::new(&unpacked[..]);
        let told: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
                assert_eq!(header.mtime().unwrap(), 1_700_000_000);
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap())
            })
            .collect();
        let expected = [("a", 0o644), ("bin", 0o755), ("bin/b", 0o755)];
        assert_eq!(told, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }
}
