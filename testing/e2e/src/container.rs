//! The process of a container, as the machine sees it.

use anyhow::{Context, Result};
use kube::api::DynamicObject;
use std::fs;
use std::time::Duration;

/// Ticks a second in /proc, on every Linux.
const TICKS: f64 = 100.0;

/// The main process of a pod's only container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// Finds it by the container's id, which is in the name of its control group.
    ///
    /// # Errors
    /// The pod has no running container.
    pub fn of(pod: &DynamicObject) -> Result<Self> {
        let id = pod.data["status"]["containerStatuses"][0]["containerID"]
            .as_str()
            .and_then(|id| id.split("//").nth(1))
            .context("the pod has no container")?;
        Self::find(id).context("the pod's container does not run")
    }

    fn find(container: &str) -> Option<Self> {
        let processes = fs::read_dir("/proc").ok()?;
        let mut pids: Vec<u32> = processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"));
                groups.is_ok_and(|groups| groups.contains(container))
            })
            .collect();
        // What it starts comes later.
        pids.sort_unstable();
        pids.first().map(|&pid| Self { pid })
    }

    /// Its process id.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// A line of /proc/PID/status, without its name.
    ///
    /// # Errors
    /// It has ended.
    pub fn status(self, name: &str) -> Result<String> {
        let status = self.read("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let line = line.with_context(|| format!("/proc/{}/status has no {name}", self.pid))?;
        Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Memory that it holds and that is nobody else's, nor a file's, in MB.
    ///
    /// # Errors
    /// It has ended.
    pub fn anonymous_megabytes(self) -> Result<f64> {
        self.megabytes("RssAnon")
    }

    /// Memory that it holds, with the pages of its program, in MB.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident_megabytes(self) -> Result<f64> {
        self.megabytes("VmRSS")
    }

    fn megabytes(self, name: &str) -> Result<f64> {
        let value = self.status(name)?;
        let kibibytes: f64 = value.trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024.0 / 1e6)
    }

    /// Processor time that it has used.
    ///
    /// # Errors
    /// It has ended.
    pub fn processor_time(self) -> Result<Duration> {
        Ok(Duration::from_secs_f64(
            (self.stat(14)? + self.stat(15)?) / TICKS,
        ))
    }

    /// How long ago it was started.
    ///
    /// # Errors
    /// It has ended.
    pub fn age(self) -> Result<Duration> {
        let uptime = fs::read_to_string("/proc/uptime").context("read /proc/uptime")?;
        let uptime: f64 = uptime.split(' ').next().unwrap_or_default().parse()?;
        let age = uptime - self.stat(22)? / TICKS;
        Ok(Duration::from_secs_f64(age.max(0.0)))
    }

    /// A number of /proc/PID/stat, see proc(5).
    fn stat(self, field: usize) -> Result<f64> {
        let stat = self.read("stat")?;
        // The second field is a name in parentheses, which may hold anything.
        let (_, rest) = stat.rsplit_once(')').context("a strange /proc/PID/stat")?;
        let value = rest.split_whitespace().nth(field - 3);
        Ok(value.context("a short /proc/PID/stat")?.parse()?)
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_process_tells_its_age_its_time_and_its_memory() {
        let own = Process {
            pid: std::process::id(),
        };
        assert!(own.age().unwrap() < Duration::from_mins(10));
        assert!(own.processor_time().unwrap() < Duration::from_mins(10));
        assert!(own.anonymous_megabytes().unwrap() <= own.resident_megabytes().unwrap());
        assert_eq!(own.status("Pid").unwrap(), std::process::id().to_string());
    }
}
