//! What makes the plain types pleasant to decide with.

use ecr_policy_model::{
    AccountLink, Decision, FieldError, Refresh, Refusal, Request, ServiceAccount,
};

use crate::setting::Setting;

/// A list of a service account that can name the Secret. Reads from settings as `"ImagePull"` or
/// `"Mount"`, as in `spec.service_accounts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Setting)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Deserialize))]
pub enum Use {
    /// `imagePullSecrets`: kubelet pulls with it.
    ImagePull,
    /// `secrets`: builds on an `OpenShift` cluster mount it.
    Mount,
}

impl AsRef<[Use]> for Use {
    fn as_ref(&self) -> &[Use] {
        core::slice::from_ref(self)
    }
}

/// Questions that a policy asks of a request.
pub trait RequestExt {
    /// What the operator decides without a policy: the resource's own Secret name and service
    /// accounts, the host's refresh time. The name is empty when the resource sets none.
    fn default_decision(&self) -> Decision;

    /// The value of a label of the resource.
    fn label(&self, key: &str) -> Option<&str>;

    /// The value of an annotation of the resource.
    fn annotation(&self, key: &str) -> Option<&str>;

    /// How long the token lives in all, in seconds; none while there is no token.
    fn token_life(&self) -> Option<u64>;
}

impl RequestExt for Request {
    fn default_decision(&self) -> Decision {
        ecr_policy_model::default_decision(self)
    }

    fn label(&self, key: &str) -> Option<&str> {
        value_of(&self.resource.labels, key)
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        value_of(&self.resource.annotations, key)
    }

    fn token_life(&self) -> Option<u64> {
        self.token
            .map(|token| token.expires_at.saturating_sub(token.issued_at))
    }
}

/// Questions that a policy asks of a service account.
pub trait ServiceAccountExt {
    /// The value of a label of the service account.
    fn label(&self, key: &str) -> Option<&str>;
}

impl ServiceAccountExt for ServiceAccount {
    fn label(&self, key: &str) -> Option<&str> {
        value_of(&self.labels, key)
    }
}

/// Steps from one decision to the next; the last call of a kind wins.
pub trait DecisionExt: Sized {
    /// Names the Secret: an RFC 1123 subdomain (lower case letters, digits, `-` and `.`, at most 253).
    #[must_use]
    fn with_name(self, name: impl Into<String>) -> Self;

    /// Sets a label of the Secret. The host refuses the prefix `ecr.mobb.redhat.com/`.
    #[must_use]
    fn with_label(self, key: impl Into<String>, value: impl Into<String>) -> Self;

    /// Sets an annotation of the Secret. The host refuses the prefix `ecr.mobb.redhat.com/`.
    #[must_use]
    fn with_annotation(self, key: impl Into<String>, value: impl Into<String>) -> Self;

    /// Gives the Secret to a service account of the resource's namespace, for one use
    /// (`Use::ImagePull`) or several (`[Use::ImagePull, Use::Mount]`), in addition to what it has.
    #[must_use]
    fn link(self, account: impl Into<String>, uses: impl AsRef<[Use]>) -> Self;

    /// Gives the Secret to no service account, not even to those of `spec.service_accounts`.
    #[must_use]
    fn without_links(self) -> Self;

    /// Renews the token at a time, in seconds since the Unix epoch.
    #[must_use]
    fn refresh_at(self, time: u64) -> Self;

    /// Renews the token this many seconds after it was issued.
    #[must_use]
    fn refresh_after_issue(self, seconds: u64) -> Self;

    /// Renews the token this many seconds before it dies.
    #[must_use]
    fn refresh_before_expiry(self, seconds: u64) -> Self;
}

impl DecisionExt for Decision {
    fn with_name(mut self, name: impl Into<String>) -> Self {
        self.secret_name = name.into();
        self
    }

    fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        set(&mut self.labels, key.into(), value.into());
        self
    }

    fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        set(&mut self.annotations, key.into(), value.into());
        self
    }

    fn link(mut self, account: impl Into<String>, uses: impl AsRef<[Use]>) -> Self {
        let uses = uses.as_ref();
        let (image_pull, mount) = (uses.contains(&Use::ImagePull), uses.contains(&Use::Mount));
        let name = account.into();
        match self
            .service_accounts
            .iter_mut()
            .find(|link| link.name == name)
        {
            Some(link) => {
                link.image_pull |= image_pull;
                link.mount |= mount;
            }
            None => self.service_accounts.push(AccountLink {
                name,
                image_pull,
                mount,
            }),
        }
        self
    }

    fn without_links(mut self) -> Self {
        self.service_accounts.clear();
        self
    }

    fn refresh_at(mut self, time: u64) -> Self {
        self.refresh = Refresh::At(time);
        self
    }

    fn refresh_after_issue(mut self, seconds: u64) -> Self {
        self.refresh = Refresh::AfterIssue(seconds);
        self
    }

    fn refresh_before_expiry(mut self, seconds: u64) -> Self {
        self.refresh = Refresh::BeforeExpiry(seconds);
        self
    }
}

/// Short ways to refuse.
pub trait RefusalExt {
    /// No credentials for this resource, and why.
    fn denied(why: impl Into<String>) -> Self;

    /// One field of the settings is wrong: its path (`labels.owner`) and what would be right.
    fn invalid_setting(field: impl Into<String>, message: impl Into<String>) -> Self;
}

impl RefusalExt for Refusal {
    fn denied(why: impl Into<String>) -> Self {
        Refusal::Denied(why.into())
    }

    fn invalid_setting(field: impl Into<String>, message: impl Into<String>) -> Self {
        Refusal::InvalidSettings(vec![FieldError {
            field: field.into(),
            message: message.into(),
        }])
    }
}

fn value_of<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|pair| pair.0 == key)
        .map(|pair| pair.1.as_str())
}

fn set(pairs: &mut Vec<(String, String)>, key: String, value: String) {
    match pairs.iter_mut().find(|pair| pair.0 == key) {
        Some(pair) => pair.1 = value,
        None => pairs.push((key, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::request;

    #[test]
    fn setting_a_label_twice_keeps_the_last_value() {
        let decision = Decision::default()
            .with_label("team", "a")
            .with_label("team", "b");
        assert_eq!(decision.labels, [("team".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn links_of_one_account_are_merged() {
        let decision = Decision::default()
            .link("builder", Use::Mount)
            .link("default", [Use::ImagePull, Use::Mount])
            .link("builder", vec![Use::ImagePull]);
        let both = |name: &str| AccountLink {
            name: name.into(),
            image_pull: true,
            mount: true,
        };
        assert_eq!(
            decision.service_accounts,
            [both("builder"), both("default")]
        );
        assert!(decision.without_links().service_accounts.is_empty());
    }

    #[test]
    fn the_last_refresh_time_wins() {
        let decision = Decision::default().refresh_at(7).refresh_after_issue(8);
        assert_eq!(decision.refresh, Refresh::AfterIssue(8));
        assert_eq!(
            decision.refresh_before_expiry(9).refresh,
            Refresh::BeforeExpiry(9)
        );
    }

    #[test]
    fn a_request_tells_its_labels_and_the_life_of_its_token() {
        let mut request = request("shop", "ecr");
        assert_eq!(request.token_life(), Some(12 * 3600));
        assert_eq!(request.label("team"), None);
        request.resource.labels.push(("team".into(), "web".into()));
        assert_eq!(request.label("team"), Some("web"));
        request.token = None;
        assert_eq!(request.token_life(), None);
    }
}
