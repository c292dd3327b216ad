//! The operator on a stage: installed as users install it, run as its own service account.
//!
//! Tests, the demo and the benchmark share it. [`install`] applies the CRDs and the RBAC that we ship;
//! [`Operator`] is the real binary as a process of its own, with nothing but the rights of its service
//! account.

mod install;
mod operator;

pub use install::{install, install_crds, install_metrics};
pub use operator::{Operator, Setup};
