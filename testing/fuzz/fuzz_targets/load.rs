//! A file of any content is loaded and run: it is refused or it runs, and nothing else happens.
#![no_main]
#![allow(missing_docs, reason = "a program")]

use std::sync::LazyLock;

use ecr_policy_model::Request;
use ecr_secret_engine::{Engine, Limits};
use libfuzzer_sys::{Corpus, fuzz_target};
use policy_fuzz::{assert_one_line, engine};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    engine(Limits {
        module_bytes: 32 << 10,
        ..Limits::default()
    })
});

fuzz_target!(|file: &[u8]| -> Corpus {
    match ENGINE.load(file) {
        Err(error) => {
            assert!(!error.is_transient(), "{error}");
            assert_one_line(&error.to_string());
        }
        Ok(policy) => {
            let request = Request::default();
            let first = policy.run(&request);
            let again = policy.run(&request);
            assert_eq!(
                first.outcome, again.outcome,
                "the same request, another answer"
            );
            assert_eq!(first.usage.fuel, again.usage.fuel);
            if let Err(error) = first.outcome {
                assert_one_line(&error.to_string());
            }
            // Whatever it says of itself is bounded, too.
            let _ = policy.describe();
        }
    }
    Corpus::Keep
});
