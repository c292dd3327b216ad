//! The effects on the cluster, each guarded so that nothing of others is overwritten.

pub mod accounts;
pub mod events;
pub mod secret;
pub mod status;
