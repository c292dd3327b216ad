//! Makes the component of a policy from the core module that the compiler gives, as small as it can be.

mod slim;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub use slim::without_custom_sections;

/// The target that policies are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What the linker is told beside what cargo tells it, as flags of rustc.
///
/// A number that the linker fills in has five bytes by default, however small it is; that is one byte of thirteen of a usual
/// policy. The linker refuses to write them shorter when it also writes debug information.
pub const LINKER_FLAGS: [&str; 4] = [
    "-C",
    "link-arg=--compress-relocations",
    "-C",
    "link-arg=--strip-debug",
];

/// The interface, as it is published.
const WIT: &str = include_str!("../../../wit/policy.wit");
/// How the name of the section begins in which a binding generator leaves the types of the interface.
const TYPES: &str = "component-type";

/// The component around a core module, without what only people would read in it. A module that says nothing of its
/// interface, as those that are linked from C without the generator's object file, is taken for one of this version's.
///
/// # Errors
/// When it is no module, or it imports anything but the types of the interface.
pub fn of_module(module: &[u8]) -> Result<Vec<u8>, String> {
    let mut module = module.to_vec();
    if slim::custom_sections(&module)
        .is_some_and(|names| !names.iter().any(|name| name.starts_with(TYPES)))
    {
        add_types(&mut module)?;
    }
    let component = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))?;
    Ok(without_custom_sections(&component).unwrap_or(component))
}

/// Adds the types of the interface to a module.
fn add_types(module: &mut Vec<u8>) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("policy.wit", WIT)
        .map_err(|error| error.to_string())?;
    let world = resolve
        .select_world(&[package], Some("policy"))
        .map_err(|error| error.to_string())?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8, false)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_or_imports_a_function_is_no_policy() {
        assert!(of_module(b"junk").is_err());
        let import = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x09\x01\x03env\x01f\0\0";
        let error = of_module(import).err();
        assert!(error.is_some_and(|error| error.contains("env")));
    }

    #[test]
    fn a_module_that_says_nothing_of_its_interface_is_taken_for_a_policy() {
        let empty = b"\0asm\x01\0\0\0\0\x05\x04name";
        let error = of_module(empty).err();
        assert!(
            error
                .as_ref()
                .is_some_and(|error| error.contains("mobb:ecr-policy/")),
            "{error:?}"
        );
        let named = [&b"\0asm\x01\0\0\0\0\x0f\x0e"[..], TYPES.as_bytes()].concat();
        assert!(slim::custom_sections(&named).is_some_and(|names| names == [TYPES]));
    }
}
