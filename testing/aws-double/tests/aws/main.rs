//! What the real AWS SDK sees of the double: this proves the wire format.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod admin;
mod binary;
mod ecr;
mod faults;
mod readme;
mod sdk;
mod sts;
