//! `cargo xtask demo`: the operator at work, step by step, on a real control plane beside a stand-in for AWS.

mod place;
mod screen;
mod stage;
mod story;
mod tokens;
mod wait;
mod witness;

use crate::workspace::shown;
use anyhow::{Context, Result, bail};
use clap::Args;
use screen::Screen;
use stage::Stage;
use std::path::PathBuf;

/// How to show it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Stay up at the end, until ctrl-c, and say how to use kubectl on it
    #[arg(long)]
    keep: bool,
    /// Use the cluster of this kubeconfig instead of a control plane of its own; what the demo brings is removed at the
    /// end
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Shows it.
///
/// # Errors
/// [`crate::BadInput`] when the named cluster cannot be used; a step failed.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut screen = Screen::new();
    let stage = tokio::select! {
        result = show(&mut screen, &arguments) => result?,
        // Dropping the demo ends what it started.
        name = crate::interruption() => {
            eprintln!("interrupted by {name}");
            std::process::exit(crate::INTERRUPTED.into());
        }
    };
    if arguments.keep {
        screen.step("It stays up until ctrl-c");
        stage.explain(&screen);
        stay(&stage).await?;
    }
    screen.step("The end");
    stage.end(&screen).await?;
    screen.say("all steps done, and nothing of the demo is left running");
    Ok(())
}

async fn show(screen: &mut Screen, arguments: &Arguments) -> Result<Stage> {
    screen.step("Set-up");
    let stage = Stage::prepare(screen, arguments.kubeconfig.as_deref()).await?;
    let log = shown(&stage::log());
    let told = tokio::select! {
        told = story::tell(&stage, screen) => told,
        () = stage.operator_ended() => bail!("the operator ended; its log is {log}"),
    };
    let facts =
        told.with_context(|| format!("the demo failed, and the operator's log is {log}"))?;
    let times = screen.times();
    screen.step("Summary");
    screen.output(&times);
    screen.output(&facts);
    screen.say(format!("operator's log: {log}"));
    Ok(stage)
}

/// Waits for ctrl-c.
async fn stay(stage: &Stage) -> Result<()> {
    tokio::select! {
        // First: a ctrl-c on the terminal ends the operator too.
        biased;
        name = crate::interruption() => {
            println!("\nended by {name}");
            Ok(())
        }
        () = stage.operator_ended() => bail!("the operator ended; its log is {}", shown(&stage::log())),
    }
}
