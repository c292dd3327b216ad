//! The component side of the SDK: the generated glue, which makes and takes the plain types.
//!
//! Compiled for `wasm32` only. Public because [`export!`](crate::export) names it from the policy's
//! crate; nothing here is meant to be used directly.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;

use ecr_policy_model::{Decision, Description, FieldError, Refusal, Request};

use crate::policy::{Policy, evaluate, validate_settings};
use crate::setting::schema_of;
use bindings::exports::mobb::ecr_policy::{about, decide};

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
        with: { "mobb:ecr-policy/types@1.0.0": crate::component::types },
    });
}

/// The plain types under the names that the generated code has for them, so that it makes and takes these and nothing
/// is copied from one to the other.
#[doc(hidden)]
pub mod types {
    use ecr_policy_model as model;
    pub use ecr_policy_model::{
        AccountLink, Decision, Description, FieldError, Refresh as RefreshTime, Refusal, Request,
        Resource as ResourceInfo, ServiceAccount, TokenWindow,
    };

    /// Only its number comes from the host.
    #[derive(Debug)]
    pub enum ResourceKind {}

    impl ResourceKind {
        /// The kind of a number.
        pub fn _lift(number: u8) -> model::ResourceKind {
            match number {
                0 => model::ResourceKind::Secret,
                _ => model::ResourceKind::ArgoHelmRepoSecret,
            }
        }
    }
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
    fn describe() -> Description {
        Description {
            name: C::NAME.into(),
            version: C::VERSION.into(),
            summary: C::SUMMARY.into(),
            settings_schema: schema_of::<P::Settings>(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<FieldError>> {
        validate_settings::<P>(&settings).map_err(|refusal| match refusal {
            Refusal::InvalidSettings(errors) => errors,
            Refusal::Denied(message) => vec![FieldError {
                field: String::new(),
                message,
            }],
        })
    }
}

impl<P: Policy, C: Package> decide::Guest for Component<P, C> {
    fn evaluate(request: Request) -> Result<Decision, Refusal> {
        // An instance answers once and is thrown away, so to free the request would only cost a KB of code.
        evaluate::<P>(&ManuallyDrop::new(request))
    }
}
