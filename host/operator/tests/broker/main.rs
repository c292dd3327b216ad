//! The token broker against the AWS double, through the real SDK: no part of the way is replaced.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod faults;
mod files;
mod local_sources;
mod roles;
mod sharing;
mod support;
mod waits;
