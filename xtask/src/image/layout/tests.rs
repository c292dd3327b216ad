#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
use super::*;

fn image(platform: Platform) -> Image {
    let layer = Layer {
        compressed: platform.target().as_bytes().to_vec(),
        diff_id: digest(b"unpacked"),
    };
    Image::new(
        platform,
        layer,
        &config::labels(None),
        "1970-01-01T00:00:00Z",
    )
}

fn json_of(files: &Tree, path: &str) -> Value {
    let Entry::File(_, bytes) = &files[path] else {
        panic!("{path} is a directory");
    };
    serde_json::from_slice(bytes).unwrap()
}

/// The blob that a descriptor means, with its size checked.
fn followed(files: &Tree, descriptor: &Value) -> Value {
    let path = descriptor["digest"].as_str().unwrap().replace(':', "/");
    let Entry::File(_, bytes) = &files[&format!("blobs/{path}")] else {
        panic!("{path} is a directory");
    };
    assert_eq!(descriptor["size"], bytes.len());
    assert_eq!(descriptor["digest"], digest(bytes));
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}

#[test]
fn every_descriptor_leads_from_the_one_entry_to_what_it_describes() {
    let images = [image(Platform::Amd64), image(Platform::Arm64)];
    let layout = Layout::new(
        &[&images[0], &images[1]],
        &config::labels(None),
        "1970-01-01T00:00:00Z",
    );
    let entries = &json_of(&layout.files, "index.json")["manifests"];
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["digest"], layout.digest());
    let index = followed(&layout.files, &entries[0]);
    for (image, described) in images.iter().zip(index["manifests"].as_array().unwrap()) {
        assert_eq!(described["digest"], image.digest());
        assert_eq!(
            described["platform"]["architecture"],
            image.platform.architecture()
        );
        let manifest = followed(&layout.files, described);
        followed(&layout.files, &manifest["layers"][0]);
        let config = followed(&layout.files, &manifest["config"]);
        assert_eq!(config["architecture"], image.platform.architecture());
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest(b"unpacked")]));
    }
}

#[test]
fn an_archive_holds_what_the_manifest_for_docker_names() {
    let image = image(Platform::Arm64);
    let bytes = image.archive().unwrap();
    assert_eq!(bytes, image.archive().unwrap());
    let mut archive = tar::Archive::new(&bytes[..]);
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    for name in [
        "oci-layout",
        "index.json",
        "manifest.json",
        &path(&image.layer),
        &path(&image.config),
    ] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
}

#[test]
fn a_layout_replaces_the_one_before_it() {
    let directory = std::env::temp_dir().join(format!("xtask-layout-{}", std::process::id()));
    let image = image(Platform::Amd64);
    let layout = Layout::new(&[&image], &config::labels(None), "1970-01-01T00:00:00Z");
    layout.write(&directory).unwrap();
    fs::write(directory.join(BLOBS).join("old"), "old").unwrap();
    layout.write(&directory).unwrap();
    let blobs = fs::read_dir(directory.join(BLOBS)).unwrap().count();
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(blobs, 4);
}
