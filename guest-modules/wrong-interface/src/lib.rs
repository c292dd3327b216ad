//! A component of `mobb:ecr-policy@2.0.0`, which no host serves: a valid component with a wrong interface.
//!
//! For tests of the host: it must name the interface that it expected and the one that it found.
//! Settings: none. On native targets the crate is empty.

#[cfg(target_family = "wasm")]
mod component {
    #[allow(
        unsafe_code,
        missing_docs,
        unreachable_pub,
        clippy::pedantic,
        reason = "generated: lifting and lowering values of the canonical ABI works on raw memory"
    )]
    mod bindings {
        wit_bindgen::generate!({ path: "wit", world: "policy" });
        export!(Component with_types_in self);
        use super::Component;
    }

    use bindings::exports::mobb::ecr_policy::decide::{Guest, Request};

    struct Component;

    impl Guest for Component {
        fn evaluate(request: Request) -> Result<String, String> {
            Ok(request.text)
        }
    }
}
