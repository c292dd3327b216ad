//! Stands in for AWS in tests, demo and bench: Amazon ECR, ECR Public and STS on one plain HTTP listener.
//!
//! The AWS SDK reaches it through `AWS_ENDPOINT_URL` (or `endpoint_url` of a configuration), so nothing in the
//! product needs a special build. In a test:
//!
//! ```no_run
//! # async fn example() {
//! use aws_double::{Action, AwsDouble, Fault, FaultRule};
//!
//! let aws = AwsDouble::start().await;
//! // point the SDK at aws.endpoint(), with DEFAULT_ACCESS_KEY_ID and any secret key
//! aws.set_fault(FaultRule::from(Fault::Throttle).times(2));
//! assert_eq!(aws.counts().of(Action::EcrGetAuthorizationToken), 0);
//! # }
//! ```
//!
//! In another process, the binary `aws-double` serves the same, and [`DoubleClient`] sets faults and the clock over HTTP.
//!
//! What it does not do: it does not verify request signatures, secret keys or the signatures of web identity tokens (the issuer
//! is not looked at either), and it knows no IAM policy beyond the trust of a [`Role`]. Everything else of a request is
//! checked: identity, session token, expiry, credential scope, region, audience and subject.
//!
//! The crate never talks to AWS, and its secrets are worth nothing outside of it.

mod admin;
mod auth;
mod bucket;
mod client;
mod config;
mod conn;
mod ecr;
mod fault;
mod fault_table;
mod ledger;
mod server;
mod service;
mod state;
mod sts;
mod token;
mod web_identity;
mod wire;

pub use client::{ClientError, DoubleClient};
pub use config::{
    Config, DEFAULT_ACCESS_KEY_ID, DEFAULT_IDENTITY_ARN, DEFAULT_REGIONS,
    DEFAULT_SECRET_ACCESS_KEY, Role, Settings, SettingsChange,
};
pub use fault::{Fault, FaultId, FaultRule, InstalledFault};
pub use ledger::{Action, CallRecord, Count, Counts};
pub use server::AwsDouble;
pub use token::{Issued, issued};
