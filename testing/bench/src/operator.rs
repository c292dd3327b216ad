//! The operator on a real control plane, beside a bare client that does the same writes in the same run.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_double::{Action, AwsDouble, Fault};
use clap::Args;
use ecr_secret_core::manifests::{Installation, WORKLOAD_NAME};
use test_cluster::{ControlPlane, Options, print_progress};
use test_stage::{Operator, Setup};

use crate::fleet::Fleet;
use crate::{policy, process};

/// What to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The operator's binary, built in release mode
    #[arg(long)]
    operator: PathBuf,
    /// The default guest, for the evaluation of policies
    #[arg(long)]
    guest: PathBuf,
    /// How many resources
    #[arg(long, default_value_t = 1000)]
    resources: usize,
    /// In how many namespaces
    #[arg(long, default_value_t = 100)]
    namespaces: usize,
    /// How long AWS takes to answer, in milliseconds
    #[arg(long, default_value_t = 30)]
    latency: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    policy::warm(&arguments.guest)?;

    println!("\ncontrol plane, {} namespaces", arguments.namespaces);
    let plane = ControlPlane::start(Options {
        progress: print_progress,
        ..Options::default()
    })
    .await?;
    let client = plane.client()?;
    let installation = Installation::default();
    test_stage::install(&client, &installation).await?;
    let fleet = Fleet::prepare(&client, arguments.resources, arguments.namespaces).await?;

    let bare = fleet.bare(&client).await?;
    println!("bare client          {}", bare.line());

    let aws = AwsDouble::start().await;
    aws.set_fault(Fault::Latency {
        ms: arguments.latency,
    });
    let logs = tempfile::tempdir()?;
    let setup = Setup {
        binary: arguments.operator.clone(),
        kubeconfig: plane
            .service_account_kubeconfig(&installation.namespace, WORKLOAD_NAME)
            .await?,
        watch_namespace: String::new(),
        namespace: installation.namespace.clone(),
        leader_elect: true,
        environment: aws
            .environment()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        log: logs.path().join("operator.log"),
    };
    let mut operator = Operator::start(&setup)?;
    operator.wait_until_ready().await?;
    let idle = process::usage(operator.pid()).context("the operator's usage")?;
    let measured = fleet
        .operated(&client)
        .await
        .with_context(|| operator.log())?;
    fleet.wait_until_told(&client).await?;
    let used = process::usage(operator.pid()).context("the operator's usage")?;
    println!("operator             {}", measured.line());
    println!(
        "ratio to bare client {:.2}",
        measured.total.as_secs_f64() / bare.total.as_secs_f64()
    );
    println!(
        "AWS calls            {}",
        aws.counts().of(Action::EcrGetAuthorizationToken)
    );
    println!(
        "peak RSS             {:.1} MB (idle {:.1} MB)",
        used.peak_mb, idle.peak_mb
    );
    println!(
        "CPU                  {:.2} s",
        used.cpu_seconds - idle.cpu_seconds
    );

    aws.reset_counts();
    let before = fleet.versions(&client).await?;
    let ended = operator.terminate(Duration::from_secs(10)).await?;
    ensure!(ended.success(), "the operator ended with {ended}");
    let started = std::time::Instant::now();
    let mut operator = Operator::start(&setup)?;
    operator.wait_until_ready().await?;
    let ready = started.elapsed();
    process::wait_for_reconciles(&operator, arguments.resources).await?;
    let looked = started.elapsed();
    let after = fleet.versions(&client).await?;
    let rewritten = before
        .iter()
        .filter(|(name, version)| after.get(*name) != Some(version))
        .count();
    let restarted = process::usage(operator.pid()).context("the operator's usage")?;
    println!(
        "restart              ready after {:.2} s, all looked at after {:.2} s, {} AWS calls, {rewritten} Secrets written, {:.2} CPU s",
        ready.as_secs_f64(),
        looked.as_secs_f64(),
        aws.counts().of(Action::EcrGetAuthorizationToken),
        restarted.cpu_seconds
    );
    ensure!(rewritten == 0, "a restart must not write Secrets");
    plane.stop();
    Ok(())
}
