//! The words that a condition may use.
//!
//! They are an interface: alerts, scripts and documents depend on them, so a word is never renamed
//! and never changes its meaning. Status, events, metrics and documents all take it from here.

use std::fmt;

use crate::api::{CONDITION_ADJUSTED, CONDITION_LINKED, CONDITION_READY};

macro_rules! reasons {
    ($( $reason:ident, $condition:ident, $meaning:literal, $remedy:literal; )*) => {
        /// Why a condition is as it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $( #[doc = $meaning] $reason, )*
        }

        impl Reason {
            /// Every reason, in the order of the documents.
            pub const ALL: &[Self] = &[$( Self::$reason, )*];

            /// The word itself.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$reason => stringify!($reason), )* }
            }

            /// The type of the condition that uses the word.
            pub fn condition(self) -> &'static str {
                match self { $( Self::$reason => $condition, )* }
            }

            /// What the word says, in one line.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$reason => $meaning, )* }
            }

            /// What to do about it, in one line.
            pub fn remedy(self) -> &'static str {
                match self { $( Self::$reason => $remedy, )* }
            }
        }
    };
}

reasons! {
    Refreshed, CONDITION_READY, "The Secret holds a valid token.", "Nothing to do.";
    Suspended, CONDITION_READY, "`spec.suspend` is true: the Secret is left alone and its token will expire.", "Set spec.suspend to false to resume.";
    Pending, CONDITION_READY, "The operator has not finished its first attempt.", "Wait some seconds; if it stays, look at the operator's logs.";
    InvalidResource, CONDITION_READY, "The stored resource cannot be read.", "Correct the field that the message names, or delete the resource and create it anew.";
    InvalidSpec, CONDITION_READY, "The spec lacks something, or says something that cannot be.", "Correct the field that the message names.";
    InvalidRegion, CONDITION_READY, "The AWS region is missing, malformed or unknown to AWS.", "Set spec.region to the region of the registry, for instance us-east-2.";
    CredentialsMissing, CONDITION_READY, "The operator has no AWS identity.", "Create the Secret aws-ecr-cloud-credentials in the operator's namespace, or give its service account a role.";
    CredentialsInvalid, CONDITION_READY, "AWS does not accept the operator's identity, or its credentials file cannot be used.", "Renew the access key, or correct the role and its trust policy; the operator reads the change without a restart.";
    AccessDenied, CONDITION_READY, "The AWS identity may not get a token.", "Allow ecr:GetAuthorizationToken on * to the identity (for public.ecr.aws: ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken).";
    Throttled, CONDITION_READY, "AWS limits the rate of calls.", "Nothing to do: the operator slows down and retries; if it stays, look for other callers in the account.";
    AwsUnreachable, CONDITION_READY, "The AWS endpoint does not answer.", "Check DNS, network policies, proxy and VPC endpoints of the operator; it retries.";
    AwsError, CONDITION_READY, "AWS answered with an error of its own.", "Nothing to do: the operator retries; if it stays, look at the AWS health dashboard.";
    AwsAnswerInvalid, CONDITION_READY, "What AWS answered holds no usable token.", "The operator retries; if it stays, check proxies and endpoint overrides between it and AWS.";
    SecretConflict, CONDITION_READY, "A Secret of the wanted name exists and is somebody else's.", "Choose another generated_secret_name, delete that Secret, or set spec.adopt to true to take it over.";
    SecretOwnedByOther, CONDITION_READY, "Another ECR resource already keeps a Secret of the wanted name.", "Give each resource a generated_secret_name of its own.";
    ApiServerRefused, CONDITION_READY, "The API server refused a write.", "Read the message: a quota, an admission policy or a missing permission stands against it; the operator retries.";
    PolicyMissing, CONDITION_READY, "The policy's `ConfigMap` or key does not exist.", "Create the ConfigMap with the module under binaryData, or correct spec.policy.";
    PolicyPullFailed, CONDITION_READY, "The policy cannot be fetched from its registry.", "Read the message: the reference, the pull Secret, the registry or the way to it is wrong, or the administrator does not allow that registry; the operator tries again.";
    PolicyAmbiguous, CONDITION_READY, "More than one `ConfigMap` or key could be the policy.", "Keep one ConfigMap with the default-policy label, or name config_map and key in spec.policy.";
    PolicyTooLarge, CONDITION_READY, "The policy module is larger than allowed.", "Build the module for size and strip it.";
    PolicyDigestMismatch, CONDITION_READY, "The policy module is not the one that `spec.policy.sha256` pins.", "Upload the pinned module, or pin the new one.";
    PolicyNotAComponent, CONDITION_READY, "The policy is not a WebAssembly component.", "Upload a component, not a core module or something else.";
    PolicyCompileFailed, CONDITION_READY, "The policy module does not compile.", "Build the module again; the message says what is wrong with it.";
    PolicyCompileLimit, CONDITION_READY, "The policy module takes more time or memory to compile than allowed.", "Make the module's functions smaller and fewer, and build it for size.";
    PolicyCompilerUnavailable, CONDITION_READY, "The operator could not compile the policy, by no fault of the module.", "Nothing to do: the operator tries again; if it stays, the administrator looks at its logs.";
    PolicyInterfaceMismatch, CONDITION_READY, "The policy does not export the interface that the operator speaks.", "Build the module against mobb:ecr-policy@1.0.0.";
    PolicyImportDenied, CONDITION_READY, "The policy imports something that no policy gets.", "Remove the import that the message names: a policy has no network, files, clock or random numbers.";
    PolicyDeadlineExceeded, CONDITION_READY, "The policy took too long.", "Make the policy do less; it has some milliseconds.";
    PolicyFuelExhausted, CONDITION_READY, "The policy executed too many instructions.", "Make the policy do less, and look for an endless loop.";
    PolicyMemoryLimit, CONDITION_READY, "The policy wanted more memory than allowed.", "Make the policy hold less at a time.";
    PolicyResourceLimit, CONDITION_READY, "The policy wanted more tables or instances than allowed.", "Build the module with fewer of what the message names.";
    PolicyStackExhausted, CONDITION_READY, "The policy called too deeply.", "Look for endless recursion in the policy.";
    PolicyResultTooLarge, CONDITION_READY, "The policy's answer is larger than allowed.", "Return fewer or shorter labels, annotations and service accounts.";
    PolicyTrap, CONDITION_READY, "The policy crashed.", "Test the policy with this resource; the message says where it stopped.";
    PolicyDenied, CONDITION_READY, "The policy forbids credentials for this resource.", "Read the policy's message, and ask its author.";
    PolicyInvalidSettings, CONDITION_READY, "`spec.policy.settings` does not fit the policy.", "Correct the settings that the message names.";
    PolicyInvalidDecision, CONDITION_READY, "The policy's answer breaks a rule.", "Correct the policy, or the settings that it built the named field from.";
    GuardrailDenied, CONDITION_READY, "The administrator's guardrail forbids what was decided for this resource.", "Read the guardrail's message; change the resource or its policy, or ask the administrator.";
    GuardrailFailed, CONDITION_READY, "The administrator's guardrail gives no usable answer, so nothing is renewed.", "The administrator mends the module in the ConfigMap ecr-policy-guardrail of the operator's namespace; kubectl ecr policy run --guardrail shows what it does.";
    Linked, CONDITION_LINKED, "Every wanted service account names the Secret.", "Nothing to do.";
    ServiceAccountMissing, CONDITION_LINKED, "A wanted service account does not exist.", "Create the service account, or stop naming it; the operator links it when it appears.";
    LinkFailed, CONDITION_LINKED, "A service account could not be changed.", "Read the message: an admission policy or a missing permission stands against it; the operator retries.";
    InvalidFrequency, CONDITION_ADJUSTED, "`spec.frequency` is no positive Go duration, so the token's expiry alone rules.", "Set spec.frequency to a positive Go duration such as 10h.";
    GuardrailNarrowed, CONDITION_ADJUSTED, "The administrator's guardrail took something away from the decision.", "Nothing to do; ask the administrator for what the message names, if it is needed.";
    RefreshTimeClamped, CONDITION_ADJUSTED, "The policy's refresh time was moved to one that is safe.", "Make the policy answer a time after the token's issue and well before its expiry.";
}

impl Reason {
    /// The reason of a word; none if the word is none of ours, as in a status that another version wrote.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == word)
    }

    /// Whether somebody who may decide so forbids credentials, in which case nothing is renewed.
    pub fn forbids(self) -> bool {
        matches!(self, Self::PolicyDenied | Self::GuardrailDenied)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The table of all reasons, as Markdown.
pub fn reasons_markdown() -> String {
    let mut table =
        String::from("| Condition | Reason | What it says | What to do |\n|---|---|---|---|\n");
    for reason in Reason::ALL {
        for cell in [
            reason.condition(),
            &format!("`{reason}`"),
            reason.meaning(),
            reason.remedy(),
        ] {
            table.push_str("| ");
            table.push_str(cell);
            table.push(' ');
        }
        table.push_str("|\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_words_are_distinct_and_fit_a_condition() {
        let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::of_word(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::of_word("Updated"), None);
        for word in words {
            assert!(word.starts_with(|c: char| c.is_ascii_uppercase()), "{word}");
            assert!(word.chars().all(|c| c.is_ascii_alphanumeric()), "{word}");
        }
    }

    #[test]
    fn every_word_is_explained_in_one_line_and_listed_in_the_table() {
        let table = reasons_markdown();
        for reason in Reason::ALL {
            for line in [reason.meaning(), reason.remedy()] {
                assert!(
                    line.ends_with('.') && !line.contains(['\n', '|']),
                    "{reason}"
                );
            }
            assert!(table.contains(&format!("| `{reason}` |")), "{reason}");
        }
        assert_eq!(table.lines().count(), Reason::ALL.len() + 2);
    }
}
