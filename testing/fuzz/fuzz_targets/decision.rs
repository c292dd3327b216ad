//! A decision of any content: it is refused in one line, or what is taken of it breaks no rule, and stays as it is.
#![no_main]
#![allow(missing_docs, reason = "a program")]

use ecr_policy_model::{Decision, Request};
use ecr_secret_core::validate::{DecisionLimits, narrowed, validate_decision};
use libfuzzer_sys::{Corpus, fuzz_target};
use policy_fuzz::assert_one_line;

fuzz_target!(|json: &[u8]| -> Corpus {
    let Ok(decision) = serde_json::from_slice::<Decision>(json) else {
        return Corpus::Reject;
    };
    let (request, limits) = (Request::default(), DecisionLimits::default());
    match validate_decision(&decision, &request, &limits) {
        Err(error) => assert_one_line(&error.to_string()),
        Ok(valid) => {
            let taken = valid.get();
            assert!(taken.secret_name.len() <= 253 && !taken.secret_name.contains('/'));
            assert!(taken.labels.is_sorted() && taken.labels.len() <= limits.labels);
            assert!(taken.service_accounts.len() <= limits.accounts);
            let again = validate_decision(taken, &request, &limits);
            assert_eq!(again.as_ref(), Ok(&valid));
            let guarded = narrowed(&valid, taken, &request, &limits).map(|guarded| guarded.taken);
            assert_eq!(guarded, Ok(Vec::new()));
        }
    }
    Corpus::Keep
});
