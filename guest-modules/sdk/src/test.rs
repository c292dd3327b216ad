//! Example requests for the tests of a policy.

use ecr_policy_model::{Request, Resource, ServiceAccount, TokenWindow};

/// The time of an example request: 2026-01-01T00:00:00Z, in seconds since the Unix epoch.
pub const NOW: u64 = 1_767_225_600;

/// A request as the operator makes it for a `Secret` resource with nothing optional in its spec but the
/// Secret's name, which is the resource's: an ECR registry in `us-east-1`, a frequency of 10 hours, the service
/// accounts `builder`, `default` and `deployer` without labels, a token that was issued at [`NOW`] and
/// lives 12 hours, no settings. Change what the test is about: all fields are public.
pub fn request(namespace: &str, name: &str) -> Request {
    let account = |name: &str| ServiceAccount {
        name: name.into(),
        labels: Vec::new(),
    };
    Request {
        now: NOW,
        resource: Resource {
            name: name.into(),
            namespace: namespace.into(),
            uid: "0f5f4f0e-5c1f-4b57-9d0e-6d1f0a3a7c11".into(),
            registry: "123456789012.dkr.ecr.us-east-1.amazonaws.com".into(),
            region: Some("us-east-1".into()),
            generated_secret_name: Some(name.into()),
            frequency_seconds: 10 * 3600,
            ..Resource::default()
        },
        service_accounts: vec![account("builder"), account("default"), account("deployer")],
        token: Some(TokenWindow {
            issued_at: NOW,
            expires_at: NOW + 12 * 3600,
        }),
        settings: "{}".into(),
    }
}

/// Steps from an example request to the one that a test is about.
pub trait RequestBuilder {
    /// With these settings, as JSON text.
    #[must_use]
    fn with_settings(self, json: &str) -> Self;

    /// With one more service account in the namespace, with these labels.
    #[must_use]
    fn with_account(self, name: &str, labels: &[(&str, &str)]) -> Self;
}

impl RequestBuilder for Request {
    fn with_settings(mut self, json: &str) -> Self {
        self.settings = json.into();
        self
    }

    fn with_account(mut self, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels
            .iter()
            .map(|&(key, value)| (key.into(), value.into()))
            .collect();
        self.service_accounts.push(ServiceAccount {
            name: name.into(),
            labels,
        });
        self.service_accounts.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }
}
