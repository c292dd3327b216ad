//! Looks at a module before anything is compiled: is it a component, does it have the interface of a
//! policy, does it import only what a policy gets, does it fit the limits.
//!
//! Only names and declared sizes are read here, in one pass. Whether the module is valid is for the compiler
//! to say, and whether the types behind the names fit, for the linker.

use wasmparser::{ComponentInstance, Encoding, Instance, Parser, Payload};

use crate::{Found, Interface, Limits, LoadError, limits::wide, text, wasi};

/// The package of the interface, without a version.
const PACKAGE: &str = "mobb:ecr-policy/";
/// How deep components may be nested. A binding generator nests once, a composition once more.
const MAX_DEPTH: usize = 4;
/// How many instantiations of components a module may write down. They are expanded by the compiler and may
/// refer to each other, so their number stands in the exponent.
const MAX_COMPONENT_INSTANCES: u64 = 16;
/// The size of a page of linear memory in bytes.
const PAGE: u64 = 64 << 10;

/// What a module is, as far as its names tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// The version of the interface that it exports.
    pub(crate) interface: Interface,
    /// Whether it imports interfaces of WASI, all of which are allowed.
    pub(crate) uses_wasi: bool,
    /// How many core instances an instance of it has.
    pub(crate) instances: u64,
}

/// Checks everything that can be checked without compiling.
pub(crate) fn inspect(bytes: &[u8], limits: &Limits) -> Result<Inspection, LoadError> {
    if bytes.len() > limits.module_bytes {
        return Err(LoadError::ModuleTooLarge {
            bytes: bytes.len(),
            limit: limits.module_bytes,
        });
    }
    if let Some(found) = not_a_component(bytes) {
        return Err(LoadError::NotAComponent { found });
    }
    let (names, totals) = scan(bytes, limits)?;
    let uses_wasi = check_imports(&names.imports)?;
    let interface = check_exports(&names.exports)?;
    Ok(Inspection {
        interface,
        uses_wasi,
        instances: totals.core_instances,
    })
}

/// What the bytes are, when they are no component in the binary format.
fn not_a_component(bytes: &[u8]) -> Option<Found> {
    if Parser::is_component(bytes) {
        return None;
    }
    let text = bytes.trim_ascii_start();
    Some(match bytes {
        [] => Found::Empty,
        _ if Parser::is_core_wasm(bytes) => Found::CoreModule,
        [b'P', b'K', ..] => Found::Archive,
        _ if text.starts_with(b"(") || text.starts_with(b";;") => Found::Text,
        _ => Found::Other,
    })
}

/// The names at the outermost level of a component.
#[derive(Default)]
struct Names<'a> {
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
}

/// What a module declares, over all its levels.
#[derive(Default)]
struct Totals {
    memory_bytes: u64,
    table_elements: u64,
    memories: u64,
    tables: u64,
    core_instances: u64,
    component_instances: u64,
}

impl Totals {
    fn check(&self, limits: &Limits) -> Result<(), LoadError> {
        let parts = [
            (
                "core instances",
                self.core_instances,
                wide(limits.instances),
            ),
            ("memories", self.memories, wide(limits.memories)),
            ("tables", self.tables, wide(limits.tables)),
            (
                "component instances",
                self.component_instances,
                MAX_COMPONENT_INSTANCES,
            ),
        ];
        for (parts, needed, limit) in parts {
            if needed > limit {
                return Err(LoadError::InstanceLimit {
                    parts,
                    needed,
                    limit,
                });
            }
        }
        let (needed, limit) = (self.memory_bytes, wide(limits.memory_bytes));
        if needed > limit {
            return Err(LoadError::MemoryLimit { needed, limit });
        }
        let (needed, limit) = (self.table_elements, wide(limits.table_elements));
        if needed > limit {
            return Err(LoadError::TableLimit { needed, limit });
        }
        Ok(())
    }
}

/// Reads the whole module once.
fn scan<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(Names<'a>, Totals), LoadError> {
    let mut names = Names::default();
    let mut totals = Totals::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            // A module or component opens a level, and its end closes it.
            Payload::Version { encoding, .. } => {
                depth += 1;
                if depth > MAX_DEPTH && encoding == Encoding::Component {
                    return Err(LoadError::InstanceLimit {
                        parts: "levels of components",
                        needed: wide(depth),
                        limit: wide(MAX_DEPTH),
                    });
                }
            }
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    names.imports.push(import.map_err(damaged)?.name.name);
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    names.exports.push(export.map_err(damaged)?.name.name);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    let instance = instance.map_err(damaged)?;
                    totals.core_instances +=
                        u64::from(matches!(instance, Instance::Instantiate { .. }));
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let instance = instance.map_err(damaged)?;
                    totals.component_instances +=
                        u64::from(matches!(instance, ComponentInstance::Instantiate { .. }));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let bytes = memory.map_err(damaged)?.initial.saturating_mul(PAGE);
                    totals.memories += 1;
                    totals.memory_bytes = totals.memory_bytes.saturating_add(bytes);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let elements = table.map_err(damaged)?.ty.initial;
                    totals.tables += 1;
                    totals.table_elements = totals.table_elements.saturating_add(elements);
                }
            }
            _ => {}
        }
    }
    totals.check(limits)?;
    Ok((names, totals))
}

/// The error for bytes that are not WebAssembly from some place on.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn damaged(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::CompileFailed {
        message: text::one_line(&error.to_string(), text::MESSAGE_BYTES),
    }
}

/// Checks the imports against the allow list, and tells whether any is of WASI.
fn check_imports(imports: &[&str]) -> Result<bool, LoadError> {
    // A wrong version of our own package explains all else that is wrong, so it comes first.
    for name in imports {
        if is_ours(name) && Interface::of_version(version(name)).is_none() {
            return Err(mismatch(name));
        }
    }
    let mut uses_wasi = false;
    for name in imports {
        if wasi::is_allowed(name) {
            uses_wasi = true;
        } else if !is_our_types(name) {
            return Err(LoadError::ImportDenied { name: shown(name) });
        }
    }
    Ok(uses_wasi)
}

/// Finds the version of the interface that the module exports.
fn check_exports(exports: &[&str]) -> Result<Interface, LoadError> {
    let decide = exports
        .iter()
        .find(|name| interface_name(name) == Some("decide"));
    match decide {
        Some(name) => {
            let interface = Interface::of_version(version(name)).ok_or_else(|| mismatch(name))?;
            let about = exports
                .iter()
                .any(|name| interface_name(name) == Some("about"));
            if about {
                Ok(interface)
            } else {
                Err(LoadError::InterfaceMismatch {
                    expected: interface.about().into(),
                    found: shown(&exports.join(", ")),
                })
            }
        }
        None if exports.is_empty() => Err(mismatch("no exports")),
        None => Err(mismatch(&exports.join(", "))),
    }
}

fn mismatch(found: &str) -> LoadError {
    LoadError::InterfaceMismatch {
        expected: Interface::LATEST.export().into(),
        found: shown(found),
    }
}

/// A name from a module, fit for a message.
fn shown(name: &str) -> String {
    text::one_line(name, 256)
}

/// Whether a name belongs to our package, in whatever version.
fn is_ours(name: &str) -> bool {
    name.starts_with(PACKAGE)
}

/// The interface of our package that a name names: `decide` for `mobb:ecr-policy/decide@1.0.0`.
fn interface_name(name: &str) -> Option<&str> {
    let name = name.strip_prefix(PACKAGE)?;
    Some(
        name.split_once('@')
            .map_or(name, |(interface, _)| interface),
    )
}

/// An import of types alone brings nothing into the guest.
fn is_our_types(name: &str) -> bool {
    interface_name(name) == Some("types")
}

/// The version in a name: `1.0.0` for `mobb:ecr-policy/decide@1.0.0`.
fn version(name: &str) -> &str {
    name.split_once('@').map_or("", |(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_told_apart() {
        let cases: [(&[u8], Found); 7] = [
            (b"", Found::Empty),
            (b"\0asm\x01\0\0\0", Found::CoreModule),
            (b"  (component)", Found::Text),
            (b";; a comment\n(module)", Found::Text),
            (b"PK\x03\x04", Found::Archive),
            (b"\x7fELF", Found::Other),
            (b"\0asm", Found::Other),
        ];
        for (bytes, found) in cases {
            let error = inspect(bytes, &Limits::default());
            assert_eq!(error, Err(LoadError::NotAComponent { found }), "{bytes:?}");
        }
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(
            interface_name("mobb:ecr-policy/decide@1.0.0"),
            Some("decide")
        );
        assert_eq!(interface_name("mobb:ecr-policy/decide"), Some("decide"));
        assert_eq!(interface_name("mobb:ecr-policy-evil/decide@1.0.0"), None);
        assert_eq!(version("mobb:ecr-policy/decide@1.0.0"), "1.0.0");
        assert_eq!(version("decide"), "");
    }
}
