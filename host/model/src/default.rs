//! The decision that stands when no policy decides.

use crate::{Decision, Refresh, Request};

/// Decides as the resource itself says: its own Secret name and service accounts, the host's
/// refresh time. The host calls this natively when there is no policy, and a policy starts from it.
///
/// The name is empty when the resource does not set one: then only a policy can name the Secret.
pub fn default_decision(request: &Request) -> Decision {
    Decision {
        secret_name: request
            .resource
            .generated_secret_name
            .clone()
            .unwrap_or_default(),
        labels: Vec::new(),
        annotations: Vec::new(),
        service_accounts: request.resource.service_accounts.clone(),
        refresh: Refresh::HostDefault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountLink, Resource};

    #[test]
    fn the_default_follows_the_resource() {
        let links = vec![AccountLink {
            name: "builder".into(),
            image_pull: false,
            mount: true,
        }];
        let request = Request {
            resource: Resource {
                generated_secret_name: Some("ecr".into()),
                service_accounts: links.clone(),
                ..Resource::default()
            },
            ..Request::default()
        };
        let decision = default_decision(&request);
        assert_eq!(decision.secret_name, "ecr");
        assert_eq!(decision.service_accounts, links);
        assert_eq!(decision.refresh, Refresh::HostDefault);
    }

    #[test]
    fn a_resource_without_a_name_gets_no_name() {
        assert_eq!(default_decision(&Request::default()).secret_name, "");
    }
}
