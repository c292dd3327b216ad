//! The policy that decides as the operator does without one.
//!
//! Settings: none; whatever is there is ignored, as the operator ignores it. Useful as a template and as
//! the proof that a policy can start from what the operator would do: the operator's tests compare both.

use ecr_policy::prelude::*;

/// The default policy.
#[derive(Debug)]
pub struct Default;

impl Policy for Default {
    type Settings = ();

    fn decide(request: &Request, (): ()) -> Result<Decision, Refusal> {
        Ok(request.default_decision())
    }

    fn settings(_text: &str) -> Result<(), Refusal> {
        Ok(())
    }
}

ecr_policy::export!(Default);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::{AccountLink, default_decision, test::request};

    #[test]
    fn it_decides_as_the_operator_does_without_a_policy() {
        let mut request = request("shop", "ecr");
        request.resource.service_accounts = vec![AccountLink {
            name: "builder".into(),
            image_pull: false,
            mount: true,
        }];
        assert_eq!(
            evaluate::<Default>(&request).unwrap(),
            default_decision(&request)
        );
        assert_eq!(
            evaluate::<Default>(&request)
                .unwrap()
                .service_accounts
                .len(),
            1
        );
    }

    #[test]
    fn a_resource_that_names_no_secret_gets_no_name() {
        let mut request = request("shop", "ecr");
        request.resource.generated_secret_name = None;
        assert_eq!(
            evaluate::<Default>(&request).unwrap(),
            default_decision(&request)
        );
    }

    #[test]
    fn settings_are_ignored_as_the_operator_ignores_them() {
        for settings in ["", "{}", r#"{"any": ["thing"]}"#, "not JSON"] {
            let request = request("shop", "ecr").with_settings(settings);
            assert_eq!(
                evaluate::<Default>(&request).unwrap(),
                default_decision(&request)
            );
        }
    }
}
