//! `cargo xtask image`: the operator's container image for each platform, without a container engine.
//!
//! The same sources, tools and `SOURCE_DATE_EPOCH` give the same bytes, wherever and whenever they are built. What is in the
//! image is in `contents.rs`; how it is run and what it says of itself is in `config.rs`.

mod binary;
mod build;
mod config;
#[cfg(test)]
mod containerfile;
mod contents;
mod dependencies;
mod epoch;
mod layer;
mod layout;
mod notices;
mod platform;
mod reproducible;
mod sbom;
mod tools;

use crate::workspace::{self, shown};
use anyhow::{Context, Result, bail};
use build::Place;
use config::Labels;
use epoch::Epoch;
use layout::{Image, Layout};
use platform::Platform;
use std::fs;
use std::path::{Path, PathBuf};
use tools::Tools;

/// The most that a node may have to download, in bytes.
const LARGEST: usize = 15_000_000;

/// What to build, and where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The platforms, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = platform::ALL)]
    platform: Vec<Platform>,
    /// The directory for the image, instead of target/image
    #[arg(long)]
    output: Option<PathBuf>,
    /// The commit that is built, for the label org.opencontainers.image.revision
    #[arg(long)]
    revision: Option<String>,
    /// Build once more from a copy of the sources in another directory, and fail when that gives another image
    #[arg(long)]
    check_reproducible: bool,
}

/// What is the same wherever the image is built.
struct Recipe {
    platforms: Vec<Platform>,
    tools: Tools,
    labels: Labels,
    epoch: Epoch,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let output = match arguments.output {
        Some(directory) => std::path::absolute(directory)?,
        None => workspace::target().join("image"),
    };
    let recipe = Recipe {
        epoch: Epoch::from_environment()?,
        labels: config::labels(arguments.revision.as_deref()),
        tools: Tools::ensure(&arguments.platform).await?,
        platforms: arguments.platform,
    };
    let here = Place {
        sources: workspace::root(),
        target: output.join("build"),
    };
    let built = recipe.images(&here).await?;
    let images: Vec<_> = built.iter().map(|built| &built.image).collect();
    let layout = Layout::new(&images, &recipe.labels, &recipe.epoch.timestamp());
    write(&output, &built, &layout)?;
    print(&images, &layout);
    if arguments.check_reproducible {
        let elsewhere = reproducible::copy(&output.join("again")).await?;
        for (image, again) in images.iter().zip(recipe.images(&elsewhere).await?) {
            reproducible::compare(image, &again.image)?;
        }
        println!("a build elsewhere gave the same");
    }
    Ok(())
}

/// Builds the image for this machine, and returns its archive.
///
/// # Errors
/// There is no image for this machine, or it does not build.
pub(crate) async fn archive() -> Result<PathBuf> {
    let platform = platform_of_this_machine()?;
    run(Arguments {
        platform: vec![platform],
        output: None,
        revision: None,
        check_reproducible: false,
    })
    .await?;
    let name = format!("image/{}.tar", platform.architecture());
    Ok(workspace::target().join(name))
}

fn platform_of_this_machine() -> Result<Platform> {
    Platform::of_this_machine()
        .context("there is no image for this machine: use one with x86_64 or aarch64")
}

/// The operator's binary as the image for this machine has it.
///
/// # Errors
/// There is no image for this machine, or the binary does not build.
pub(crate) async fn operator() -> Result<PathBuf> {
    let platform = platform_of_this_machine()?;
    let here = Place {
        sources: workspace::root(),
        target: workspace::target().join("image/build"),
    };
    let tools = Tools::ensure(&[platform]).await?;
    build::binary(&here, &tools, platform).await
}

/// An image, and the list of what it is made of.
struct Built {
    image: Image,
    sbom: String,
}

impl Recipe {
    async fn images(&self, place: &Place) -> Result<Vec<Built>> {
        let mut images = Vec::new();
        for &platform in &self.platforms {
            eprintln!("==> {platform}");
            images.push(self.image(place, platform).await?);
        }
        Ok(images)
    }

    /// Builds the binary, checks it, and puts the image around it.
    async fn image(&self, place: &Place, platform: Platform) -> Result<Built> {
        let path = build::binary(place, &self.tools, platform).await?;
        let name = shown(&path);
        let binary = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
        let audit = binary::check(&binary, platform, &place.private_paths()?)
            .with_context(|| format!("{name} is not fit for the image"))?;
        let dependencies = dependencies::resolve(&place.sources, platform, audit).await?;
        let contents = contents::contents(binary, &dependencies)?;
        let layer = layer::layer(&contents, self.epoch.seconds())?;
        let image = Image::new(platform, layer, &self.labels, &self.epoch.timestamp());
        small_enough(image.compressed_size()).with_context(|| {
            format!("the image for {platform} is too large: see what {name} has grown by")
        })?;
        let sbom = sbom::document(platform, &dependencies)?;
        Ok(Built { image, sbom })
    }
}

/// # Errors
/// An image of so many bytes, compressed, is more than a node shall download.
fn small_enough(size: usize) -> Result<()> {
    if size > LARGEST {
        bail!("it has {size} bytes compressed, and may have {LARGEST}");
    }
    Ok(())
}

fn write(output: &Path, built: &[Built], layout: &Layout) -> Result<()> {
    layout.write(&output.join("oci"))?;
    for Built { image, sbom } in built {
        let name = image.platform.architecture();
        let archive = image.archive()?;
        write_file(&output.join(format!("{name}.tar")), &archive)?;
        write_file(
            &output.join(format!("sbom-{name}.cdx.json")),
            sbom.as_bytes(),
        )?;
    }
    let digest = format!("{}\n", layout.digest());
    write_file(&output.join("digest"), digest.as_bytes())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", shown(path)))
}

fn print(images: &[&Image], layout: &Layout) {
    println!("{:<12} {:>11}  digest", "platform", "compressed");
    for image in images {
        let (platform, size) = (image.platform.to_string(), image.compressed_size());
        println!("{platform:<12} {size:>11}  {}", image.digest());
    }
    println!("{:<12} {:>11}  {}", "all", "", layout.digest());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_more_than_15_megabytes_is_refused() {
        assert!(small_enough(15_000_000).is_ok());
        let told = small_enough(15_000_001).map_err(|error| error.to_string());
        let expected = "it has 15000001 bytes compressed, and may have 15000000";
        assert_eq!(told, Err(expected.to_owned()));
    }
}
