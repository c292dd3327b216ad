//! `policy build`: cargo for WebAssembly, then the component around the module. No other tool is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ecr_policy_component::{LINKER_FLAGS, TARGET};
use serde_json::Value;

use super::read;
use crate::command_line::Build;
use crate::outcome::{Failure, Outcome, input};

pub(super) fn run(arguments: &Build) -> Outcome {
    let module = match &arguments.module {
        Some(module) => module.clone(),
        None => of_crate(&arguments.directory)?,
    };
    let component = ecr_policy_component::of_module(&read(&module)?)
        .map_err(|error| {
            Failure::No(format!(
                "{} is no policy: {error}; export the functions of the interface (in Rust by ecr_policy::export!), and use nothing that needs an operating system",
                module.display()
            ))
        })?;
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => arguments.directory.join(component_name(&module)),
    };
    fs::write(&output, &component)
        .map_err(|error| input(format!("cannot write {}: {error}", output.display())))?;
    println!("{}  {} bytes", output.display(), component.len());
    Ok(())
}

/// Builds the crate in a directory.
fn of_crate(directory: &Path) -> Outcome<PathBuf> {
    let manifest = directory.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(input(format!(
            "{} holds no crate; name the directory of one, or make one with `kubectl ecr policy new`",
            directory.display()
        )));
    }
    compile(&manifest)
}

/// Builds the crate, and says which file came out.
fn compile(manifest: &Path) -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["rustc", "--release", "--lib", "--target", TARGET])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(manifest)
        .arg("--")
        .args(LINKER_FLAGS)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            input(format!(
                "cargo cannot be started: {error}; install Rust from https://rustup.rs"
            ))
        })?;
    if !output.status.success() {
        return Err(Failure::No(format!(
            "the crate does not build; if {TARGET} is missing: rustup target add {TARGET}"
        )));
    }
    let is_module = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| extension == "wasm")
    };
    let artifact = |line: &str| -> Option<PathBuf> {
        let message: Value = serde_json::from_str(line).ok()?;
        let files = message.get("filenames")?.as_array()?;
        let mut files = files.iter().filter_map(Value::as_str).map(PathBuf::from);
        files.find(is_module)
    };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().rev().find_map(artifact).ok_or_else(|| {
        Failure::No(
            "the crate builds no module; set crate-type = [\"cdylib\"] in [lib] of its Cargo.toml"
                .to_owned(),
        )
    })
}

/// The file's name with the dashes that cargo took from the crate's.
fn component_name(module: &Path) -> String {
    let stem = module.file_stem().unwrap_or_default().to_string_lossy();
    format!("{}.wasm", stem.replace('_', "-"))
}
