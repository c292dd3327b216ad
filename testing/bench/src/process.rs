//! What a process used, from `/proc`, see `proc_pid_stat(5)` and `proc_pid_status(5)`.

use std::time::Duration;

use anyhow::{Context, Result};
use test_stage::Operator;

/// Clock ticks a second on Linux for user programs.
const TICKS: f64 = 100.0;

/// What a process has used so far.
pub(crate) struct Usage {
    /// The largest resident size, in MB (10^6 bytes).
    pub(crate) peak_mb: f64,
    /// User and system time in seconds.
    pub(crate) cpu_seconds: f64,
}

/// Reads the usage of a process.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    let kib: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold blanks; what follows it does not. utime and stime are fields 14 and 15.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks =
        |index: usize| -> Result<f64> { Ok(fields.get(index).context("a short stat")?.parse()?) };
    Ok(Usage {
        peak_mb: kib * 1024.0 / 1e6,
        cpu_seconds: (ticks(11)? + ticks(12)?) / TICKS,
    })
}

/// What this process has in memory, in MB (10^6 bytes).
pub(crate) fn resident_mb() -> Result<f64> {
    resident_mb_of(std::process::id())
}

/// What a process has in memory, in MB (10^6 bytes).
pub(crate) fn resident_mb_of(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let line = line.context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// Waits until the operator has looked at so many resources.
pub(crate) async fn wait_for_reconciles(operator: &Operator, wanted: usize) -> Result<()> {
    test_cluster::eventually(
        Duration::from_mins(1),
        "every resource is looked at",
        || async {
            let metrics = operator
                .metrics()
                .await
                .map_err(|error| error.to_string())?;
            let counted: f64 = metrics
                .lines()
                .filter(|line| line.starts_with("ecr_secret_reconcile_total"))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum();
            #[expect(clippy::cast_precision_loss, reason = "thousands")]
            if counted >= wanted as f64 {
                Ok(())
            } else {
                Err(format!("{counted} of {wanted}"))
            }
        },
    )
    .await;
    Ok(())
}
