//! The command line and the environment, and nothing that acts on them.

use std::net::SocketAddr;

use crate::policies::Registries;
use clap::{Parser, Subcommand, ValueEnum};
use ecr_secret_engine::{Compilation, DiskOptions, EngineOptions};

/// Bytes of compiled policies on the disk: some thousand of usual size.
const COMPILED_ON_DISK: u64 = 256 << 20;

/// Keeps Amazon ECR credentials fresh in Kubernetes and OpenShift.
#[derive(Debug, Parser)]
#[command(name = "ecr-secret-operator", version, about)]
pub struct Cli {
    /// What to do; without it, the operator runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run.
    #[command(flatten)]
    pub options: Options,
}

/// What else the binary can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Runs the operator.
    Run,
    /// Prints the custom resource definitions as YAML.
    Crds,
    /// Prints the RBAC rules that the operator needs as YAML.
    Rbac,
    /// Asks AWS who this is, and for a token of each region.
    Doctor {
        /// The regions.
        regions: Vec<String>,
    },
}

/// How the operator runs. Each option is also an environment variable.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// The namespaces to serve, separated by commas; empty for all.
    #[arg(long, env = "WATCH_NAMESPACE", default_value = "", global = true)]
    pub watch_namespace: String,
    /// Where `/metrics` listens: with TLS, or in clear text on the loopback interface.
    #[arg(
        long,
        env = "METRICS_ADDR",
        default_value = "0.0.0.0:8443",
        global = true
    )]
    pub metrics_addr: SocketAddr,
    /// A directory with `tls.crt` and `tls.key` for `/metrics`; without it the operator signs a certificate itself.
    #[arg(long, env = "METRICS_CERT_DIR", default_value = "", global = true)]
    pub metrics_cert_dir: String,
    /// Whether `/metrics` is only for those who may get it by the cluster's RBAC; not asked on the loopback interface.
    #[arg(long, env = "METRICS_AUTH", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set, global = true)]
    pub metrics_auth: bool,
    /// Where `/healthz` and `/readyz` listen.
    #[arg(
        long,
        env = "HEALTH_ADDR",
        default_value = "0.0.0.0:8081",
        global = true
    )]
    pub health_addr: SocketAddr,
    /// Whether replicas elect a leader by a Lease; without it, run one replica only.
    #[arg(long, env = "LEADER_ELECT", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set, global = true)]
    pub leader_elect: bool,
    /// The operator's own namespace, where the Lease lives; the service account's namespace in a pod.
    #[arg(long, env = "POD_NAMESPACE", default_value = "", global = true)]
    pub namespace: String,
    /// The name of this replica; the pod's name in a pod.
    #[arg(long, env = "POD_NAME", default_value = "", global = true)]
    pub identity: String,
    /// The form of the log.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Json, global = true)]
    pub log_format: LogFormat,
    /// What is logged: a level, or directives such as `info,ecr_secret_operator=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", global = true)]
    pub log_level: String,
    /// How many resources are worked on at the same time.
    #[arg(long, env = "MAX_CONCURRENT_RECONCILES", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000), global = true)]
    pub max_concurrent_reconciles: u16,
    /// What a policy may use, where it is not the default: for instance `fuel=50000000,memory=32Mi,wall-time=500ms`.
    #[arg(long, env = "POLICY_LIMITS", default_value = "", global = true)]
    pub policy_limits: String,
    /// Where compiled policies are kept over a restart, a directory that no tenant can write; empty for nowhere.
    #[arg(long, env = "POLICY_CACHE_DIR", default_value = "", global = true)]
    pub policy_cache_dir: String,
    /// Registries that policies may come from besides those of ECR, separated by commas: hosts, `*.example.com` or `*`.
    #[arg(long, env = "POLICY_REGISTRIES", default_value = "", global = true)]
    pub policy_registries: String,
    /// A directory with the administrator's guardrail, `policy.wasm` and `settings.json`, if there is one; no tenant may
    /// write there.
    #[arg(long, env = "POLICY_GUARDRAIL_DIR", default_value = "", global = true)]
    pub policy_guardrail_dir: String,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// A mistake on the command line as one line; clap writes a paragraph.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    let message = line.strip_prefix("error: ").unwrap_or(&line);
    format!("{message}; see --help")
}

impl Options {
    /// How policies are loaded and run: compiled in a child process, inside the limits.
    ///
    /// # Errors
    /// A limit that cannot be understood, with what to do.
    pub fn engine(&self) -> Result<EngineOptions, String> {
        let limits = self
            .policy_limits
            .parse()
            .map_err(|error| format!("POLICY_LIMITS: {error}"))?;
        let compilation = Compilation::isolated().map_err(|error| {
            format!("the operator's own program cannot be found: {error}; mount /proc")
        })?;
        let directory = &self.policy_cache_dir;
        let disk = (!directory.is_empty()).then(|| DiskOptions {
            directory: directory.into(),
            bytes: COMPILED_ON_DISK,
        });
        Ok(EngineOptions {
            limits,
            compilation,
            disk,
            ..EngineOptions::default()
        })
    }

    /// The registries that policies may come from.
    ///
    /// # Errors
    /// An entry that is none, with what to do.
    pub fn registries(&self) -> Result<Registries, String> {
        self.policy_registries
            .parse()
            .map_err(|error| format!("POLICY_REGISTRIES: {error}"))
    }

    /// The namespaces to serve; none means all of them.
    ///
    /// # Errors
    /// A name that cannot be a namespace's, with what to do.
    pub fn namespaces(&self) -> Result<Vec<String>, String> {
        let mut names: Vec<String> = self
            .watch_namespace
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        match names.iter().find(|name| !is_namespace(name)) {
            Some(bad) => Err(format!(
                "WATCH_NAMESPACE: {bad:?} is not a namespace's name; give names separated by commas, or nothing for all"
            )),
            None => Ok(names),
        }
    }
}

/// RFC 1123 label: what the API server accepts as a namespace's name.
fn is_namespace(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn namespaces(text: &str) -> Result<Vec<String>, String> {
        let cli =
            Cli::try_parse_from(["ecr-secret-operator", &format!("--watch-namespace={text}")])
                .unwrap();
        cli.options.namespaces()
    }

    #[test]
    fn nothing_means_every_namespace_and_commas_separate_names() {
        assert_eq!(namespaces("").unwrap(), Vec::<String>::new());
        assert_eq!(namespaces("b, a,,b").unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_a_namespace_is_refused_by_name() {
        for bad in ["A", "a_b", "-a", "a-", "a/b", &"a".repeat(64)] {
            assert!(namespaces(bad).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn limits_that_are_none_are_refused_by_the_name_of_the_variable() {
        let engine = |text: &str| {
            let option = format!("--policy-limits={text}");
            Cli::try_parse_from(["ecr-secret-operator", &option])
                .unwrap()
                .options
                .engine()
        };
        assert_eq!(engine("fuel=5").unwrap().limits.fuel, 5);
        let error = engine("fule=5").unwrap_err();
        assert!(
            error.starts_with("POLICY_LIMITS: ") && error.contains("fule"),
            "{error}"
        );
    }

    #[test]
    fn leader_election_is_on_and_can_be_switched_off() {
        let leader_elect = |args: &[&str]| {
            Cli::try_parse_from(std::iter::once(&"operator").chain(args))
                .unwrap()
                .options
                .leader_elect
        };
        assert!(leader_elect(&[]));
        assert!(leader_elect(&["--leader-elect"]));
        assert!(!leader_elect(&["--leader-elect=false"]));
    }
}
