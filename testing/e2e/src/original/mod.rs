//! The original operator v0.6.0 as its users have it: its bundle, what they stored, and what it wrote.
//!
//! Its image is a stand-in that only runs: it is here to be replaced. What it left in clusters is written as it wrote it.

mod bundle;
mod stored;

pub use bundle::bundle;
pub use stored::{STORED, Stored, leave_behind};
