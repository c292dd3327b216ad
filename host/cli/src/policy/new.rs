//! `policy new`: a crate that builds and passes its tests.

use std::fs;
use std::path::Path;

use crate::command_line::New;
use crate::outcome::{Outcome, input};

const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../../template/src/lib.rs.in")),
    ("cases.yaml", include_str!("../../template/cases.yaml")),
    (".gitignore", "/target\n/*.wasm\n"),
];

pub(super) fn run(arguments: &New) -> Outcome {
    let name = &arguments.name;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.bytes().all(fits) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(input(format!(
            "{name:?} is no name for a policy; use lower case letters, digits and `-`, and begin with a letter"
        )));
    }
    let directory = Path::new(name);
    if directory.exists() {
        return Err(input(format!(
            "{name} exists; choose another name, or remove it"
        )));
    }
    let sdk = match &arguments.sdk {
        None => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
        Some(path) => {
            let path = path.canonicalize().map_err(|error| {
                input(format!(
                    "there is no SDK in {}: {error}; name its directory",
                    path.display()
                ))
            })?;
            format!("{{ path = {:?} }}", path.display().to_string())
        }
    };
    for (file, content) in FILES {
        let path = directory.join(file);
        let content = content.replace("{{name}}", name).replace("{{sdk}}", &sdk);
        let written = fs::create_dir_all(path.parent().unwrap_or(directory))
            .and_then(|()| fs::write(&path, content));
        written.map_err(|error| {
            input(format!(
                "cannot write {}: {error}; choose another directory",
                path.display()
            ))
        })?;
    }
    println!("{name} is there. Next:");
    println!("  cd {name}");
    println!("  cargo test                                   # its tests, natively");
    println!("  kubectl ecr policy build                     # {name}.wasm");
    println!("  kubectl ecr policy test {name}.wasm cases.yaml");
    println!("  kubectl ecr policy push {name}.wasm");
    Ok(())
}
