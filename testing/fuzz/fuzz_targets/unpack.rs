//! A file that says it is compressed: what comes out is bounded, whatever it holds.
#![no_main]
#![allow(missing_docs, reason = "a program")]

use std::sync::LazyLock;

use ecr_secret_engine::{Engine, Limits};
use libfuzzer_sys::fuzz_target;
use policy_fuzz::{assert_one_line, engine};

const LIMIT: usize = 1 << 20;
const GZIP: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    engine(Limits {
        module_bytes: LIMIT,
        ..Limits::default()
    })
});

fuzz_target!(|input: (bool, &[u8])| {
    let (gzip, rest) = input;
    let file = [if gzip { GZIP } else { ZSTD }, rest].concat();
    match ENGINE.prepare(&file) {
        Ok(module) => assert!(module.bytes().len() <= LIMIT),
        Err(error) => assert_one_line(&error.to_string()),
    }
});
