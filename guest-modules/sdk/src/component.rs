//! The component side of the SDK: the generated glue, and the moves between its types and the plain ones.
//!
//! Compiled for `wasm32` only. Public because [`export!`](crate::export) names it from the policy's
//! crate; nothing here is meant to be used directly.

use core::marker::PhantomData;

use ecr_policy_model as model;

use crate::policy::{Policy, evaluate, validate_settings};
use crate::schema::schema_of;
use bindings::exports::mobb::ecr_policy::{about, decide};
use bindings::mobb::ecr_policy::types as wit;

/// What wit-bindgen generates from the WIT package.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "generated: lifting and lowering values of the canonical ABI works on raw memory"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "policy",
        export_macro_name: "export_policy",
        pub_export_macro: true,
        default_bindings_module: "ecr_policy::component::bindings",
        generate_all,
    });
}

/// What the manifest of the policy's crate says.
pub trait Package {
    /// `package.name`.
    const NAME: &'static str;
    /// `package.version`.
    const VERSION: &'static str;
    /// `package.description`, or nothing.
    const SUMMARY: &'static str;
}

/// The component that answers with policy `P` of the package `C`.
#[derive(Debug)]
pub struct Component<P, C>(PhantomData<(P, C)>);

impl<P: Policy, C: Package> about::Guest for Component<P, C> {
    fn describe() -> wit::Description {
        wit::Description {
            name: C::NAME.into(),
            version: C::VERSION.into(),
            summary: C::SUMMARY.into(),
            settings_schema: schema_of::<P::Settings>(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<wit::FieldError>> {
        validate_settings::<P>(&settings).map_err(|refusal| match refusal {
            model::Refusal::InvalidSettings(errors) => errors_out(errors),
            model::Refusal::Denied(message) => vec![wit::FieldError {
                field: String::new(),
                message,
            }],
        })
    }
}

impl<P: Policy, C: Package> decide::Guest for Component<P, C> {
    fn evaluate(request: wit::Request) -> Result<wit::Decision, wit::Refusal> {
        match evaluate::<P>(&request_in(request)) {
            Ok(decision) => Ok(decision_out(decision)),
            Err(refusal) => Err(refusal_out(refusal)),
        }
    }
}

fn request_in(request: wit::Request) -> model::Request {
    let resource = request.resource;
    model::Request {
        now: request.now,
        resource: model::Resource {
            kind: match resource.kind {
                wit::ResourceKind::Secret => model::ResourceKind::Secret,
                wit::ResourceKind::ArgoHelmRepoSecret => model::ResourceKind::ArgoHelmRepoSecret,
            },
            name: resource.name,
            namespace: resource.namespace,
            uid: resource.uid,
            labels: resource.labels,
            annotations: resource.annotations,
            registry: resource.registry,
            region: resource.region,
            generated_secret_name: resource.generated_secret_name,
            frequency_seconds: resource.frequency_seconds,
            service_accounts: resource.service_accounts.into_iter().map(link_in).collect(),
        },
        service_accounts: request
            .service_accounts
            .into_iter()
            .map(|account| model::ServiceAccount {
                name: account.name,
                labels: account.labels,
            })
            .collect(),
        token: request.token.map(|token| model::TokenWindow {
            issued_at: token.issued_at,
            expires_at: token.expires_at,
        }),
        settings: request.settings,
    }
}

fn link_in(link: wit::AccountLink) -> model::AccountLink {
    model::AccountLink {
        name: link.name,
        image_pull: link.image_pull,
        mount: link.mount,
    }
}

fn decision_out(decision: model::Decision) -> wit::Decision {
    wit::Decision {
        secret_name: decision.secret_name,
        labels: decision.labels,
        annotations: decision.annotations,
        service_accounts: decision
            .service_accounts
            .into_iter()
            .map(|link| wit::AccountLink {
                name: link.name,
                image_pull: link.image_pull,
                mount: link.mount,
            })
            .collect(),
        refresh: match decision.refresh {
            model::Refresh::HostDefault => wit::RefreshTime::HostDefault,
            model::Refresh::At(time) => wit::RefreshTime::At(time),
            model::Refresh::AfterIssue(seconds) => wit::RefreshTime::AfterIssue(seconds),
            model::Refresh::BeforeExpiry(seconds) => wit::RefreshTime::BeforeExpiry(seconds),
        },
    }
}

fn errors_out(errors: Vec<model::FieldError>) -> Vec<wit::FieldError> {
    errors
        .into_iter()
        .map(|error| wit::FieldError {
            field: error.field,
            message: error.message,
        })
        .collect()
}

fn refusal_out(refusal: model::Refusal) -> wit::Refusal {
    match refusal {
        model::Refusal::InvalidSettings(errors) => {
            wit::Refusal::InvalidSettings(errors_out(errors))
        }
        model::Refusal::Denied(why) => wit::Refusal::Denied(why),
    }
}
