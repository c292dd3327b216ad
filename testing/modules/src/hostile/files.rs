//! What is no policy: other files, other worlds, forbidden imports, damage.

use std::io::Write;

use super::{Hostile, hostile};
use crate::{WIT, component, good, module, with_sections};

const NOT_A_COMPONENT: &[&str] = &["NotAComponent"];
const MISMATCH: &[&str] = &["InterfaceMismatch"];

pub(super) fn files() -> Vec<Hostile> {
    let core = wat::parse_str(module("", "(i32.const 1024)")).unwrap();
    let renamed = WIT.replace(
        "package mobb:ecr-policy@1.0.0;",
        "package mobb:ecr-policy@2.0.0;",
    );
    let renamed = component(
        &renamed.replace("@since(version = 1.0.0)", ""),
        "policy",
        &module("", "(i32.const 1024)").replace("@1.0.0#", "@2.0.0#"),
    );
    let other_types = component(
        &WIT.replace("now: timestamp,", "now: timestamp, later: u64,"),
        "policy",
        &module("", "(i32.const 1024)"),
    );
    vec![
        hostile("nothing at all", Vec::new(), NOT_A_COMPONENT),
        hostile("a core module", core.clone(), NOT_A_COMPONENT),
        hostile("a core module, compressed", gzip(&core), NOT_A_COMPONENT),
        hostile("a text", b"(component)".to_vec(), NOT_A_COMPONENT),
        hostile(
            "a zip archive",
            b"PK\x03\x04\0\0\0\0".to_vec(),
            NOT_A_COMPONENT,
        ),
        hostile(
            "a program",
            b"\x7fELF\x02\x01\x01".to_vec(),
            NOT_A_COMPONENT,
        ),
        hostile(
            "a policy compressed twice",
            gzip(&gzip(&good())),
            NOT_A_COMPONENT,
        ),
        hostile("another version of the interface", renamed, MISMATCH),
        hostile("the right names with other types", other_types, MISMATCH),
        hostile(
            "the right names with nothing behind them",
            text(
                "(component (instance $i) (export \"mobb:ecr-policy/decide@1.0.0\" (instance $i))
                   (export \"mobb:ecr-policy/about@1.0.0\" (instance $i)))",
            ),
            MISMATCH,
        ),
        hostile(
            "another world",
            text("(component (instance $i) (export \"wasi:cli/run@0.2.6\" (instance $i)))"),
            MISMATCH,
        ),
    ]
}

pub(super) fn imports() -> Vec<Hostile> {
    let names = [
        "wasi:sockets/tcp@0.2.6",
        "wasi:sockets/ip-name-lookup@0.2.0",
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:cli/environment@0.1.0",
        "kubernetes:api/secrets@1.0.0",
        "mobb:ecr-policy/secrets@1.0.0",
    ];
    let instances = names.iter().map(|name| {
        let section = format!("(component (import \"{name}\" (instance)))");
        let file = with_sections(good(), &section);
        hostile(
            format!("a good policy that imports {name}"),
            file,
            &["ImportDenied"],
        )
    });
    let mut all: Vec<Hostile> = instances.collect();
    let long = "a".repeat(50_000);
    for (what, section) in [
        ("a function", "(component (import \"f\" (func)))".to_owned()),
        (
            "a core module",
            "(component (import \"m\" (core module)))".to_owned(),
        ),
        (
            "a name of 50,000 letters",
            format!("(component (import \"{long}\" (func)))"),
        ),
    ] {
        let file = with_sections(good(), &section);
        all.push(hostile(
            format!("a good policy that imports {what}"),
            file,
            &["ImportDenied"],
        ));
    }
    all
}

/// A good policy, cut and with flipped bits; wherever that is, it is told or does no harm.
pub(super) fn damaged() -> Vec<Hostile> {
    const ANY: &[&str] = &[
        "CompileFailed",
        "InterfaceMismatch",
        "ImportDenied",
        "NotAComponent",
        "InstanceLimit",
        "MemoryLimit",
        "TableLimit",
        "FuelExhausted",
        "InvalidResult",
        "Trap",
        "ResultTooLarge",
        "Harmless",
    ];
    let whole = good();
    let mut all = Vec::new();
    for share in [1, 3, 5, 7] {
        let end = whole.len() * share / 8;
        let cut = whole[..end].to_vec();
        all.push(hostile(
            format!("cut after {share} eighths"),
            cut,
            &["CompileFailed", "InterfaceMismatch"],
        ));
    }
    let packed = gzip(&whole);
    let cut = packed[..packed.len() / 2].to_vec();
    all.push(hostile("compressed and cut", cut, &["CannotUnpack"]));
    // A fixed row of places, so that a failure can be repeated.
    let mut place = 12_345_usize;
    for number in 0..12 {
        place = place.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let mut flipped = whole.clone();
        let at = 8 + place % (flipped.len() - 8);
        flipped[at] ^= 1 << (number % 8);
        all.push(hostile(
            format!("bit {} of byte {at} flipped", number % 8),
            flipped,
            ANY,
        ));
    }
    all
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}
