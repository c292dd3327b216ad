//! What the operator tells the outside: logs, metrics, health.

pub mod access;
pub mod http;
pub mod logging;
pub mod metrics;
mod resources;
pub mod tls;
