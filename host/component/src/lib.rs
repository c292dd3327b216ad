//! Makes the component of a policy from the core module that the compiler gives, as small as it can be.

mod slim;

use wit_component::ComponentEncoder;

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

/// The component around a core module, without what only people would read in it.
///
/// # Errors
/// When it is no module, or it imports anything but the types of the interface.
pub fn of_module(module: &[u8]) -> Result<Vec<u8>, String> {
    let component = ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))?;
    Ok(without_custom_sections(&component).unwrap_or(component))
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
    fn a_component_holds_no_custom_section() {
        let component = of_module(b"\0asm\x01\0\0\0\0\x05\x04name").unwrap_or_default();
        assert!(component.starts_with(b"\0asm\x0d\0\x01\0"));
        assert_eq!(without_custom_sections(&component), Some(component));
    }
}
