//! The operator's binary against a real control plane, under the RBAC that we ship.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::too_many_lines,
    missing_docs,
    unreachable_pub,
    reason = "tests; a scenario is told in one piece"
)]

mod accounts;
mod command_line;
mod compatibility;
mod crash;
mod credentials;
mod faults;
mod interruptions;
mod leader;
mod log;
mod metrics_access;
mod openshift;
mod operation;
mod outside;
mod ownership;
mod policies;
mod proxy;
mod readme;
mod recording;
mod renewal;
mod round;
mod scope;
mod support;
mod unreadable;
