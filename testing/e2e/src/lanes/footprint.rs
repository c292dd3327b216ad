//! How fast it starts and what it costs while nothing happens, installed by the manifest.

use crate::container::Process;
use crate::credentials::{self, resource};
use crate::subscription::ready_pod;
use crate::{Report, World, objects, until};
use anyhow::{Context, Result, ensure};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use ecr_secret_core::manifests::{DEFAULT_NAMESPACE as NAMESPACE, WORKLOAD_NAME};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const TENANT: &str = "footprint";
const SOON: Duration = Duration::from_secs(30);
/// Between the start of the process and its word that it is ready.
const START: Duration = Duration::from_secs(2);
/// In MB.
const MEMORY: f64 = 30.0;
/// Of one processor.
const PROCESSOR: f64 = 0.01;

/// All proofs.
///
/// # Errors
/// None so far; lanes have it in common.
pub async fn run(world: &World) -> Result<()> {
    let sentence = "installed by deploy/install.yaml, it is Ready and keeps one Secret";
    let installed = world.prove(sentence, install(world));
    if installed.await.is_none() {
        return Ok(());
    }
    let sentence = "the pod's process is ready within 2 s of its start";
    if let Some(took) = world.prove(sentence, start(world)).await {
        Report::note(&format!(
            "ready {:.2} s after the start",
            took.as_secs_f64()
        ));
    }
    let sentence = format!(
        "over {} s in which nothing happens it holds under {MEMORY} MB and uses under {PROCESSOR} of a processor",
        world.idle.as_secs()
    );
    let measured = world.prove(&sentence, idle(world));
    if let Some(Idle {
        anonymous,
        resident,
        processor,
    }) = measured.await
    {
        Report::note(&format!(
            "{anonymous:.1} MB of its own, {resident:.1} MB with the pages of its program; {processor:.5} of a processor"
        ));
    }
    world
        .prove("all of it goes again", async {
            let client = world.node.client();
            objects::delete_namespace(&client, TENANT).await?;
            let manifest = manifest();
            world
                .node
                .kubectl(&["delete", "--wait", "--filename", &manifest])
                .await
                .map(drop)
        })
        .await;
    Ok(())
}

fn manifest() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/install.yaml");
    path.display().to_string()
}

async fn install(world: &World) -> Result<()> {
    let client = world.node.client();
    world
        .node
        .kubectl(&["apply", "--server-side", "--filename", &manifest()])
        .await?;
    let environment: Vec<String> = world
        .aws_environment()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut arguments = vec![
        "--namespace",
        NAMESPACE,
        "set",
        "env",
        "deployment",
        WORKLOAD_NAME,
    ];
    arguments.extend(environment.iter().map(String::as_str));
    world.node.kubectl(&arguments).await?;
    ready_pod(world, NAMESPACE).await?;
    objects::restricted_namespace(&client, TENANT).await?;
    objects::apply(&client, resource(TENANT, "ecr-secret", "pull")).await?;
    credentials::wait_for(world, TENANT, "pull", SOON)
        .await
        .map(drop)
}

/// Ends the process, so that kubelet starts it anew in the same pod, whose address is known beforehand. kubelet's own probe
/// comes too seldom to measure with.
async fn start(world: &World) -> Result<Duration> {
    let pod = ready_pod(world, NAMESPACE).await?;
    let address = pod.data["status"]["podIP"]
        .as_str()
        .context("the pod has no address")?
        .to_owned();
    let url = format!("http://{address}:8081/readyz");
    let before = Process::of(&pod)?;
    crate::process::run(crate::process::command(
        "kill",
        ["-KILL", &before.pid().to_string()],
    ))
    .await?;
    let http = Client::builder(TokioExecutor::new()).build_http();
    let deadline = Instant::now() + SOON;
    // An answer of the process before would not count.
    while Path::new(&format!("/proc/{}", before.pid())).exists() {
        ensure!(Instant::now() < deadline, "the process does not end");
        sleep(Duration::from_millis(5)).await;
    }
    while !is_ready(&http, &url).await {
        ensure!(
            Instant::now() < deadline,
            "{url} does not say that it is ready"
        );
        sleep(Duration::from_millis(5)).await;
    }
    let answered = Instant::now();
    let after = until(SOON, "kubelet to tell of the new container", async || {
        let pod = ready_pod(world, NAMESPACE).await?;
        let process = Process::of(&pod)?;
        ensure!(process != before, "it tells of the container before");
        Ok(process)
    })
    .await?;
    let took = after.age()?.saturating_sub(answered.elapsed());
    ensure!(took < START, "it took {:.2} s", took.as_secs_f64());
    Ok(took)
}

async fn is_ready(http: &Client<HttpConnector, Body>, url: &str) -> bool {
    let Ok(request) = Request::get(url).body(Body::empty()) else {
        return false;
    };
    let answer = timeout(Duration::from_millis(500), http.request(request)).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status() == StatusCode::OK))
}

struct Idle {
    anonymous: f64,
    resident: f64,
    processor: f64,
}

async fn idle(world: &World) -> Result<Idle> {
    let pod = ready_pod(world, NAMESPACE).await?;
    let process = Process::of(&pod)?;
    let (before, started) = (process.processor_time()?, Instant::now());
    // This is the time that is measured, and not a wait for something.
    sleep(world.idle).await;
    let used = process.processor_time()?.saturating_sub(before);
    let idle = Idle {
        anonymous: process.anonymous_megabytes()?,
        resident: process.resident_megabytes()?,
        processor: used.as_secs_f64() / started.elapsed().as_secs_f64(),
    };
    ensure!(
        idle.resident < MEMORY && idle.processor < PROCESSOR,
        "{:.1} MB of its own, {:.1} MB with the pages of its program; {:.5} of a processor",
        idle.anonymous,
        idle.resident,
        idle.processor
    );
    Ok(idle)
}
