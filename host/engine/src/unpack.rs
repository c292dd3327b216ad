//! Modules that come compressed, by gzip or zstd. A `ConfigMap` holds 1 MiB, and a module shrinks to a third.
//!
//! What comes out is bounded as it comes: by the limit on a module's bytes, and by its ratio to what went in, so that
//! a bomb of some kilobytes is recognised before it has grown to the limit.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use crate::{LoadError, text};

/// From so many bytes on the ratio counts; less is no harm whatever it came from.
const SMALL: usize = 256 << 10;
/// How many times larger than its file a module may be. Code shrinks to a third or a fourth.
const RATIO: usize = 50;
/// The step in which is read and checked.
const CHUNK: usize = 64 << 10;

/// The module in a file: the file itself, or what it unpacks to.
///
/// # Errors
/// It is too large, grows too much, or is damaged.
pub(crate) fn unpack(file: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, LoadError> {
    let damaged = |error: &dyn std::fmt::Display| LoadError::CannotUnpack {
        message: text::one_line(&error.to_string(), text::MESSAGE_BYTES),
    };
    let mut source = file;
    let mut reader: Box<dyn Read + '_> = match file {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(&mut source)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(
            ruzstd::decoding::StreamingDecoder::new(&mut source)
                .map_err(|error| damaged(&error))?,
        ),
        _ => return Ok(Cow::Borrowed(file)),
    };
    let most = limit.min(SMALL.max(file.len().saturating_mul(RATIO)));
    let mut module = Vec::new();
    loop {
        let step = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        match reader.by_ref().take(step).read_to_end(&mut module) {
            Ok(0) => return Ok(Cow::Owned(module)),
            Ok(_) if module.len() <= most => {}
            Ok(_) if most < limit => {
                return Err(LoadError::CannotUnpack {
                    message: format!(
                        "it grows to more than {RATIO} times its size, which no module does"
                    ),
                });
            }
            Ok(_) => {
                return Err(LoadError::ModuleTooLarge {
                    bytes: module.len(),
                    limit,
                });
            }
            Err(error) => return Err(damaged(&describe(&error))),
        }
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// Bytes that do not shrink much.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u32;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect()
    }

    #[test]
    fn what_is_not_compressed_is_left_as_it_is() {
        for file in [&b""[..], b"\0asm\x0d\0\x01\0", b"text"] {
            assert!(matches!(unpack(file, 1), Ok(Cow::Borrowed(same)) if same == file));
        }
    }

    #[test]
    fn both_formats_are_unpacked_up_to_the_limit() {
        let module = noise(300_000);
        for file in [gzip(&module), zstd(&module)] {
            assert_eq!(*unpack(&file, 300_000).unwrap(), *module);
            assert!(matches!(
                unpack(&file, 299_999),
                Err(LoadError::ModuleTooLarge { limit: 299_999, .. })
            ));
        }
    }

    #[test]
    fn a_bomb_is_recognised_by_its_ratio() {
        let zeroes = vec![0; 64 << 20];
        for file in [gzip(&zeroes), zstd(&zeroes)] {
            assert!(file.len() < 1 << 20);
            let error = unpack(&file, 1 << 30).unwrap_err();
            assert_eq!(error.reason(), "CannotUnpack", "{error}");
            assert!(error.to_string().contains("50 times"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_cut_or_damaged_is_told() {
        let module = noise(10_000);
        for file in [gzip(&module), zstd(&module)] {
            for end in [5, 12, file.len() / 2, file.len() - 1] {
                let error = unpack(&file[..end], 1 << 20).unwrap_err();
                assert_eq!(error.reason(), "CannotUnpack", "{end}: {error}");
            }
        }
    }
}
