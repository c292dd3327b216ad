//! Write policies for the ECR Secret Operator in plain Rust.
//!
//! A policy decides, for one resource that asks for ECR credentials, how the generated Secret is named
//! and labelled, which service accounts get it, and when its token is renewed. It is a pure function
//! from a [`Request`] to a [`Decision`] or a [`Refusal`]: it has no clock, no network, no files, and
//! the operator validates whatever it answers.
//!
//! Implement [`Policy`] and name it in [`export!`]:
//!
//! ```
//! use ecr_policy::prelude::*;
//!
//! #[derive(Setting)]
//! #[setting(deny_unknown_fields)]
//! struct Settings {
//!     /// The team that the Secret is for.
//!     team: String,
//! }
//!
//! struct ByTeam;
//!
//! impl Policy for ByTeam {
//!     type Settings = Settings;
//!
//!     fn decide(request: &Request, settings: Settings) -> Result<Decision, Refusal> {
//!         Ok(request
//!             .default_decision()
//!             .with_name(settings.team.clone() + "-" + &request.resource.name)
//!             .with_label("team", settings.team)
//!             .link("builder", Use::Mount)
//!             .refresh_before_expiry(3600))
//!     }
//! }
//!
//! ecr_policy::export!(ByTeam);
//!
//! // A policy is tested as any other Rust code, with no WebAssembly in sight:
//! let request = ecr_policy::test::request("shop", "ecr").with_settings(r#"{"team": "web"}"#);
//! let decision = evaluate::<ByTeam>(&request).unwrap();
//! assert_eq!(decision.secret_name, "web-ecr");
//! ```
//!
//! On `wasm32` targets `export!` makes the crate (`crate-type = ["cdylib"]`) a component of the
//! world `mobb:ecr-policy/policy@1.0.0`; on others it only checks that the type is a policy. A policy needs no
//! dependency but this crate.
//!
//! # Size
//!
//! A module travels in a ConfigMap, so it should be small: less than 20 KB with some settings. Some things cost much
//! when they are used for the first time: `format!` four KB (put texts together with `+`), `concat`, `expect` and indexing one
//! to two, a `BTreeMap` five (settings read a `Vec` of pairs from an object, too), `f64` in settings twenty.
//!
//! # Features
//!
//! * `allocator` (default): on `wasm32-unknown-unknown` a small allocator instead of the standard library's, which is eight
//!   KB larger. Switch it off to use that one, or one of your own.
//! * `serde`: `#[setting(serde)]` and `read_with_serde`, for settings that serde reads.

// The derive macro names this crate by its name, in its own tests too.
extern crate self as ecr_policy;

#[cfg(all(feature = "allocator", target_arch = "wasm32", target_os = "unknown"))]
mod allocator;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component;
mod extend;
pub mod json;
mod policy;
mod proposed;
pub mod setting;
pub mod test;
#[cfg(any(test, feature = "serde"))]
mod with_serde;

pub use ecr_policy_model::{
    AccountLink, Decision, FieldError, Refresh, Refusal, Request, Resource, ResourceKind,
    ServiceAccount, TokenWindow, default_decision,
};
pub use extend::{DecisionExt, RefusalExt, RequestExt, ServiceAccountExt, Use};
pub use policy::{NoSettings, Policy, evaluate, parse_settings, validate_settings};
pub use proposed::Proposed;
pub use setting::{Setting, schema_of};
#[cfg(any(test, feature = "serde"))]
pub use with_serde::read_with_serde;

/// Everything that a policy and its tests use, for one `use ecr_policy::prelude::*;`.
pub mod prelude {
    pub use crate::test::RequestBuilder as _;
    pub use crate::{
        AccountLink, Decision, DecisionExt as _, FieldError, NoSettings, Policy, Proposed, Refresh,
        Refusal, RefusalExt as _, Request, RequestExt as _, Resource, ResourceKind, ServiceAccount,
        ServiceAccountExt as _, Setting, TokenWindow, Use, evaluate, validate_settings,
    };
}

/// Makes a type that implements [`Policy`] the policy of this crate's component.
///
/// Call it once, at the root of the crate. On native targets nothing is exported, so `cargo test` works
/// as in any other crate.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Own;
            impl $crate::component::Package for Own {
                const NAME: &'static str = env!("CARGO_PKG_NAME");
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");
                const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
            }
            type Exported = $crate::component::Component<$policy, Own>;
            $crate::component::bindings::export_policy!(
                Exported with_types_in $crate::component::bindings
            );
        };
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            const fn is_a_policy<P: $crate::Policy>() {}
            is_a_policy::<$policy>();
        };
    };
}

/// The example of the workspace's README, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
