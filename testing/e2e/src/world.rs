//! All that a lane may use, and the order of the lanes.

use crate::lanes::{self, Lane};
use crate::programs::program;
use crate::{Images, Node, Registry, Report, network, random_user, state};
use anyhow::{Context, Result};
use aws_double::{AwsDouble, Config, DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY};
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where the AWS double listens, for pods too.
const DOUBLE_PORT: u16 = 5566;

/// What the binary is told.
#[derive(Debug, Parser)]
#[command(
    name = "e2e",
    about = "Proves on a real node what the operator promises"
)]
pub struct Arguments {
    /// The operator's image, as `cargo xtask image` makes it
    #[arg(long)]
    pub image: PathBuf,
    /// The program kubectl-ecr
    #[arg(long)]
    pub plugin: PathBuf,
    /// Only these lanes
    #[arg(long, value_enum)]
    pub only: Vec<Lane>,
    /// Leave the node running at the end, until ctrl-c
    #[arg(long)]
    pub keep: bool,
    /// How long the operator is watched while nothing happens, in seconds
    #[arg(long, default_value_t = 60)]
    pub idle: u64,
    /// Where everything of the node goes; it is removed before and after
    #[arg(long, default_value = "/var/tmp/ecr-secret-operator-e2e")]
    pub folder: PathBuf,
    /// We are in the network namespace
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// A node with registries, an AWS double and OLM.
pub struct World {
    /// The node.
    pub node: Node,
    /// The registry that the double's tokens open.
    pub registry: Registry,
    /// Makes images and pushes them, without a password.
    pub images: Images,
    /// AWS.
    pub double: Arc<AwsDouble>,
    /// The operator's image by digest in the open registry. Manifests may also use its public name, which is mirrored.
    pub operator_image: String,
    /// The program kubectl-ecr.
    pub plugin: PathBuf,
    /// How long to watch an idle operator.
    pub idle: Duration,
    /// What was proved.
    pub report: Report,
}

impl World {
    /// Carries one proof out, prints a line about it, and on a failure the cluster's state. None says that it failed.
    pub async fn prove<T>(
        &self,
        sentence: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Option<T> {
        let value = self.report.prove(sentence, work).await;
        if value.is_none() {
            state::print(&self.node).await;
        }
        value
    }

    /// The double's address as pods reach it, for `AWS_ENDPOINT_URL`.
    pub fn aws_endpoint(&self) -> String {
        format!("http://{}:{DOUBLE_PORT}", network::ADDRESS)
    }

    /// The environment of an operator that reaches the double with static keys.
    pub fn aws_environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.aws_endpoint()),
            ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID.to_owned()),
            (
                "AWS_SECRET_ACCESS_KEY",
                DEFAULT_SECRET_ACCESS_KEY.to_owned(),
            ),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }
}

/// Starts the world inside the network namespace, runs the lanes and tells whether all was proved.
///
/// # Errors
/// The node does not start.
pub async fn prove_all(arguments: &Arguments) -> Result<bool> {
    network::forward()?;
    let report = Report::default();
    let started = report.prove(
        "a node with a real control plane, containerd and kubelet is Ready",
        Node::start(&arguments.folder),
    );
    let Some(node) = started.await else {
        return Ok(report.finish());
    };
    let world = start(arguments, node, report).await?;
    for lane in lanes::chosen(&arguments.only) {
        println!("\n{}", lane.title());
        if let Err(error) = lane.run(&world).await {
            // A proof that could not even be tried is one that failed.
            let failed = async { Err::<(), _>(error) };
            world.prove(lane.title(), failed).await;
        }
    }
    let proved = world.report.finish();
    if arguments.keep {
        println!("{}", world.node.invitation());
        tokio::signal::ctrl_c().await?;
    }
    Ok(proved)
}

async fn start(arguments: &Arguments, node: Node, report: Report) -> Result<World> {
    let listen: SocketAddr = ([0, 0, 0, 0], DOUBLE_PORT).into();
    let config = Config {
        listen,
        ..Config::default()
    };
    let double = AwsDouble::start_with(config)
        .await
        .context("start the AWS double")?;
    let double = Arc::new(double);
    random_user::enforce(&node.client()).await?;
    let images = Images::new(program("crane").await?, node.folder());
    let registry = Registry::start(&node, Arc::clone(&double)).await?;
    let operator_image = images.push_operator(&arguments.image).await?;
    Ok(World {
        node,
        registry,
        images,
        double,
        operator_image,
        plugin: arguments.plugin.clone(),
        idle: Duration::from_secs(arguments.idle),
        report,
    })
}
