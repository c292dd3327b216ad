//! The operator: everything that acts on a cluster or on AWS.
//!
//! Judgement is in `ecr-secret-core`, policies run in `ecr-secret-engine`; this crate observes, carries
//! plans out and tells what happened. `docs/ARCHITECTURE.md` follows one reconcile through it.

pub mod aws;
pub mod cache;
pub mod config;
pub mod context;
pub mod doctor;
pub mod effects;
pub mod leader;
mod openshift;
mod owner;
pub mod policies;
pub mod reconcile;
pub mod run;
mod scope;
pub mod telemetry;
pub mod turns;
pub mod watch;
pub mod world;
