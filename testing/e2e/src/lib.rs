//! The operator on a real Kubernetes node, installed, used, upgraded and removed as users do it.
//!
//! Everything runs in a network namespace of its own: a control plane, containerd, kubelet, a registry that is opened by the
//! tokens of the AWS double, and OLM. The binary `e2e` makes the namespace, starts itself again inside it, proves one sentence
//! after the other and takes everything down.
//!
//! A *lane* is a series of proofs that needs nothing of another one. It gets the [`World`], which has all that is there:
//!
//! ```no_run
//! # async fn lane(world: &e2e::World) -> anyhow::Result<()> {
//! let pods = world.prove("a pod runs", async { anyhow::Ok(3) }).await;
//! # drop(pods); Ok(()) }
//! ```

pub mod catalog;
pub mod container;
pub mod credentials;
pub mod images;
pub mod lanes;
pub mod network;
pub mod node;
pub mod objects;
pub mod olm;
pub mod original;
pub mod process;
pub mod programs;
pub mod random_user;
pub mod registry;
pub mod report;
pub mod requirements;
pub mod state;
pub mod subscription;
pub mod wait;
pub mod watcher;
pub mod world;

pub use images::{Image, Images};
pub use node::Node;
pub use registry::Registry;
pub use report::Report;
pub use wait::until;
pub use world::World;
