//! The list of what the image is made of, as `CycloneDX` 1.6. It has no time and no serial number, so it is the same each time.

use super::binary::{AuditedPackage, Kind, Source};
use super::dependencies::Dependency;
use super::platform::Platform;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The document for a platform's image.
///
/// # Errors
/// No dependency is the root of all.
pub(super) fn document(platform: Platform, dependencies: &[Dependency]) -> Result<String> {
    let root = dependencies
        .iter()
        .find(|dependency| dependency.audited.root)
        .context("the binary does not say which package it is of")?;
    let others = dependencies.iter().filter(|other| !other.audited.root);
    let mut operator = component(root);
    operator["type"] = "application".into();
    operator["description"] = format!("The container image for {platform}").into();
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": operator },
        "components": others.map(component).collect::<Vec<_>>(),
        "dependencies": dependencies.iter().map(|one| edges(one, dependencies)).collect::<Vec<_>>(),
    });
    Ok(format!("{document:#}\n"))
}

fn component(dependency: &Dependency) -> Value {
    let audited = &dependency.audited;
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(audited),
        "name": audited.name,
        "version": audited.version,
        // What only ran in the build is not in the image.
        "scope": match audited.kind {
            Kind::Runtime => "required",
            Kind::Build => "excluded",
        },
    });
    if audited.source == Source::CratesIo {
        component["purl"] = reference(audited).into();
    }
    if let Some(license) = &dependency.license {
        component["licenses"] = json!([{ "expression": license }]);
    }
    component
}

fn edges(dependency: &Dependency, all: &[Dependency]) -> Value {
    let needed = dependency.audited.dependencies.iter();
    let needed = needed.filter_map(|&position| all.get(position));
    let references: Vec<_> = needed.map(|other| reference(&other.audited)).collect();
    json!({ "ref": reference(&dependency.audited), "dependsOn": references })
}

fn reference(
    AuditedPackage {
        name,
        version,
        source,
        ..
    }: &AuditedPackage,
) -> String {
    match source {
        Source::CratesIo => format!("pkg:cargo/{name}@{version}"),
        // These are nowhere but here.
        Source::Local => format!("{name}@{version}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use crate::image::dependencies::tests::some;
    use std::path::Path;

    #[test]
    fn the_document_tells_what_is_linked_from_what_only_ran_and_is_the_same_each_time() {
        let dependencies = some(Path::new("/registry"));
        let text = document(Platform::Amd64, &dependencies).unwrap();
        assert_eq!(text, document(Platform::Amd64, &dependencies).unwrap());
        assert!(!text.contains("/registry"));
        let sbom: Value = serde_json::from_str(&text).unwrap();
        let operator = &sbom["metadata"]["component"];
        assert_eq!(operator["bom-ref"], "operator@1.0.0");
        assert_eq!(operator["purl"], Value::Null);
        let components = sbom["components"].as_array().unwrap();
        let told: Vec<_> = components
            .iter()
            .map(|component| {
                (
                    component["purl"].as_str().unwrap(),
                    component["scope"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("pkg:cargo/build-tool@0.1.0", "excluded"),
                ("pkg:cargo/linked@1.2.0", "required"),
                ("pkg:cargo/webpki-root-certs@1.0.11", "required"),
            ]
        );
        assert_eq!(
            components[1]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(
            sbom["dependencies"][2],
            json!({
                "ref": "operator@1.0.0",
                "dependsOn": ["pkg:cargo/build-tool@0.1.0", "pkg:cargo/linked@1.2.0", "pkg:cargo/webpki-root-certs@1.0.11"],
            })
        );
    }
}
