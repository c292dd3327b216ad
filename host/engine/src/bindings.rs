//! The generated bindings of the interface, and the way to and from the model's plain types.
//!
//! A version of the interface is one module here and one variant of [`crate::Interface`].

/// `mobb:ecr-policy@1.0.0`.
pub(crate) mod v1 {
    use ecr_policy_model as model;

    #[allow(
        missing_docs,
        unreachable_pub,
        clippy::pedantic,
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "generated code"
    )]
    mod generated {
        wasmtime::component::bindgen!({ path: "../../wit", world: "policy" });
    }

    use generated::mobb::ecr_policy::types as wit;
    pub(crate) use generated::{Policy as Bindings, PolicyPre as BindingsPre};

    /// A request in the form that is handed to the guest.
    pub(crate) fn request(request: &model::Request) -> wit::Request {
        wit::Request {
            now: request.now,
            resource: resource(&request.resource),
            service_accounts: request
                .service_accounts
                .iter()
                .map(service_account)
                .collect(),
            token: request.token.map(|token| wit::TokenWindow {
                issued_at: token.issued_at,
                expires_at: token.expires_at,
            }),
            settings: request.settings.clone(),
        }
    }

    fn resource(resource: &model::Resource) -> wit::ResourceInfo {
        wit::ResourceInfo {
            kind: match resource.kind {
                model::ResourceKind::Secret => wit::ResourceKind::Secret,
                model::ResourceKind::ArgoHelmRepoSecret => wit::ResourceKind::ArgoHelmRepoSecret,
            },
            name: resource.name.clone(),
            namespace: resource.namespace.clone(),
            uid: resource.uid.clone(),
            labels: resource.labels.clone(),
            annotations: resource.annotations.clone(),
            registry: resource.registry.clone(),
            region: resource.region.clone(),
            generated_secret_name: resource.generated_secret_name.clone(),
            frequency_seconds: resource.frequency_seconds,
            service_accounts: resource.service_accounts.iter().map(link).collect(),
        }
    }

    fn link(link: &model::AccountLink) -> wit::AccountLink {
        wit::AccountLink {
            name: link.name.clone(),
            image_pull: link.image_pull,
            mount: link.mount,
        }
    }

    fn service_account(account: &model::ServiceAccount) -> wit::ServiceAccount {
        wit::ServiceAccount {
            name: account.name.clone(),
            labels: account.labels.clone(),
        }
    }

    /// A guest's answer as plain types.
    pub(crate) fn verdict(
        verdict: Result<wit::Decision, wit::Refusal>,
    ) -> Result<model::Decision, model::Refusal> {
        match verdict {
            Ok(decision) => Ok(model::Decision {
                secret_name: decision.secret_name,
                labels: decision.labels,
                annotations: decision.annotations,
                service_accounts: decision.service_accounts.into_iter().map(unlink).collect(),
                refresh: refresh(decision.refresh),
            }),
            Err(wit::Refusal::Denied(message)) => Err(model::Refusal::Denied(message)),
            Err(wit::Refusal::InvalidSettings(errors)) => {
                Err(model::Refusal::InvalidSettings(field_errors(errors)))
            }
        }
    }

    /// What a guest says of itself.
    pub(crate) fn description(description: wit::Description) -> model::Description {
        model::Description {
            name: description.name,
            version: description.version,
            summary: description.summary,
            settings_schema: description.settings_schema,
        }
    }

    /// What is wrong with settings.
    pub(crate) fn field_errors(errors: Vec<wit::FieldError>) -> Vec<model::FieldError> {
        let plain = |error: wit::FieldError| model::FieldError {
            field: error.field,
            message: error.message,
        };
        errors.into_iter().map(plain).collect()
    }

    fn unlink(link: wit::AccountLink) -> model::AccountLink {
        model::AccountLink {
            name: link.name,
            image_pull: link.image_pull,
            mount: link.mount,
        }
    }

    fn refresh(refresh: wit::RefreshTime) -> model::Refresh {
        match refresh {
            wit::RefreshTime::HostDefault => model::Refresh::HostDefault,
            wit::RefreshTime::At(time) => model::Refresh::At(time),
            wit::RefreshTime::AfterIssue(seconds) => model::Refresh::AfterIssue(seconds),
            wit::RefreshTime::BeforeExpiry(seconds) => model::Refresh::BeforeExpiry(seconds),
        }
    }
}
