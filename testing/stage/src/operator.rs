//! The operator's binary as a process.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the operator may take to become ready.
const READY: Duration = Duration::from_secs(30);

/// How to run an operator.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary.
    pub binary: PathBuf,
    /// The kubeconfig that it acts with.
    pub kubeconfig: PathBuf,
    /// The namespaces to serve, separated by commas; empty for all.
    pub watch_namespace: String,
    /// The operator's own namespace.
    pub namespace: String,
    /// Whether it elects a leader.
    pub leader_elect: bool,
    /// Further variables, such as the AWS endpoint and credentials.
    pub environment: Vec<(String, String)>,
    /// Where its log goes.
    pub log: PathBuf,
}

/// A running operator. It is killed when this value goes.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    health: u16,
    metrics: u16,
    log: PathBuf,
}

impl Operator {
    /// Starts an operator.
    ///
    /// # Errors
    /// The binary cannot be started.
    pub fn start(setup: &Setup) -> Result<Self> {
        let (health, metrics) = (free_port()?, free_port()?);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&setup.log)
            .with_context(|| format!("open {}", setup.log.display()))?;
        let child = Command::new(&setup.binary)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBECONFIG", &setup.kubeconfig)
            .env("WATCH_NAMESPACE", &setup.watch_namespace)
            .env("POD_NAMESPACE", &setup.namespace)
            .env("LEADER_ELECT", setup.leader_elect.to_string())
            .env("HEALTH_ADDR", format!("127.0.0.1:{health}"))
            .env("METRICS_ADDR", format!("127.0.0.1:{metrics}"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(setup.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", setup.binary.display()))?;
        Ok(Self {
            child,
            health,
            metrics,
            log: setup.log.clone(),
        })
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Errors
    /// It ended, or is not ready in time; the error ends with its log.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the operator ended with {status}:\n{}",
                    self.last_log_lines()
                );
            }
            match get(self.health, "/readyz").await {
                Ok((200, _)) => return Ok(()),
                other if Instant::now() > deadline => bail!(
                    "the operator is not ready ({other:?}):\n{}",
                    self.last_log_lines()
                ),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// What `/metrics` says.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<String> {
        Ok(get(self.metrics, "/metrics").await?.1)
    }

    /// The status and body of a path of the health endpoint.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn health(&self, path: &str) -> Result<(u16, String)> {
        get(self.health, path).await
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Kills it without any warning, as a node that dies does.
    ///
    /// # Errors
    /// The system cannot.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits for that at most `limit`.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()?;
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the operator did not end within {limit:?} of SIGTERM");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The whole log.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    fn last_log_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// A port that nobody listens on. It lies below the ports that the system gives to outgoing connections
/// (32768 and up, see ip(7)), so none of these takes it before the operator does; each is given once.
fn free_port() -> Result<u16> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Test processes that run side by side begin far from each other.
        let number = std::process::id()
            .wrapping_mul(101)
            .wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % COUNT)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {FIRST} and {} is free", FIRST + COUNT)
}

/// A small HTTP GET: the endpoints are plain HTTP/1.1, and close when asked to.
async fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an HTTP answer without a body")?;
    let status = head
        .split(' ')
        .nth(1)
        .context("an HTTP answer without a status")?
        .parse()?;
    Ok((status, body.to_owned()))
}
