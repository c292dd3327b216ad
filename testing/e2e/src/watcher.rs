//! Looks at Secrets all the time while something else goes on.

use crate::{Registry, World, credentials};
use anyhow::{Context, Result, ensure};
use kube::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const INTERVAL: Duration = Duration::from_millis(100);

/// A watch over some Secrets.
pub struct Watcher {
    looks: Arc<AtomicU64>,
    end: watch::Sender<bool>,
    task: JoinHandle<Result<()>>,
}

impl Watcher {
    /// Begins to look whether each of these Secrets, by namespace and name, opens the registry.
    pub fn start(world: &World, secrets: Vec<(String, String)>) -> Self {
        let looks = Arc::new(AtomicU64::new(0));
        let (end, ended) = watch::channel(false);
        let work = look(
            world.node.client(),
            world.registry.clone(),
            secrets,
            Arc::clone(&looks),
            ended,
        );
        let task = tokio::spawn(work);
        Self { looks, end, task }
    }

    /// How often it looked so far.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Ends the watch.
    ///
    /// # Errors
    /// A Secret did not open the registry at some moment, or it was hardly looked at.
    pub async fn finish(self) -> Result<()> {
        // When it has ended already, it tells why.
        let _ = self.end.send(true);
        self.task.await.context("the watch broke off")??;
        let looks = self.looks.load(Ordering::Relaxed);
        ensure!(looks > 10, "there were only {looks} looks");
        Ok(())
    }
}

async fn look(
    client: Client,
    registry: Registry,
    secrets: Vec<(String, String)>,
    looks: Arc<AtomicU64>,
    ended: watch::Receiver<bool>,
) -> Result<()> {
    while !*ended.borrow() {
        for (namespace, name) in &secrets {
            let opens = credentials::opens(&client, &registry, namespace, name).await;
            let number = looks.load(Ordering::Relaxed);
            opens.with_context(|| format!("look {number}"))?;
        }
        looks.fetch_add(1, Ordering::Relaxed);
        sleep(INTERVAL).await;
    }
    Ok(())
}
