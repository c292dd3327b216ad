//! The judgement of the ECR Secret Operator, and nothing else.
//!
//! Everything here is a pure function of its arguments: the API types, what a stored object means,
//! what a Secret shall hold, whose an object is, which patch links a service account, which
//! manifests install the operator. The crate has no Kubernetes client, no async runtime, no clock
//! and no I/O; time is always an argument. So a test of it needs no cluster and never waits.
//!
//! | module | answers |
//! |---|---|
//! | [`api`] | what do the two kinds, their status and their annotations look like |
//! | [`reason`] | which words may a condition use, and what shall a user do about each |
//! | [`duration`] | what does a Go duration mean |
//! | [`registry`] | which ECR, in which region, does a registry's name stand for |
//! | [`token`] | what is a token, without ever printing it |
//! | [`request`] | what is a policy asked about a resource |
//! | [`policy_source`] | where is a resource's policy |
//! | [`render`] | what does the generated Secret look like, byte for byte |
//! | [`validate`] | is what a policy wants allowed |
//! | [`ownership`] | whose is an existing Secret, and has somebody edited it |
//! | [`links`] | which patch brings a service account's lists up to date |
//! | [`schedule`] | when is a token renewed |
//! | [`decide`] | what is to be done about a resource, and what does its status say |
//! | [`manifests`] | CRDs, RBAC and Deployment |

pub mod api;
pub mod decide;
pub mod duration;
pub mod links;
pub mod manifests;
pub mod ownership;
pub mod policy_source;
pub mod reason;
pub mod registry;
pub mod render;
pub mod request;
pub mod schedule;
pub mod token;
pub mod validate;
