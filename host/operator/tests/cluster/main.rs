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
mod compatibility;
mod faults;
mod ownership;
mod policies;
mod recording;
mod readme;
mod support;
mod unreadable;
