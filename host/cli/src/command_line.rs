//! The commands and their options, and nothing that acts on them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Write, test and upload policies, and look after ECR credentials.
#[derive(Parser)]
#[command(name = "kubectl-ecr", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Policies: new, build, check, run, test, bench, replay, inspect, push
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// List the resources with their Secrets, times and policies
    Status(Listing),
    /// Show why a resource has this Secret, these accounts and this time
    Explain(Explain),
    /// Check the cluster, the operator and its AWS identity
    Doctor(Doctor),
    /// Ask for one refresh now
    Refresh(One),
    /// Stop renewing
    Suspend(One),
    /// Renew again
    Resume(One),
    /// Print a completion script
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[derive(Subcommand)]
pub(crate) enum Policy {
    /// Make a crate with a policy that builds and passes its tests
    New(New),
    /// Build a crate, or a core module, into a small component
    Build(Build),
    /// Check a module as the operator would, and show what it is and what it takes
    Check(Check),
    /// Ask a module about one request
    Run(Run),
    /// Run cases from YAML files
    Test(Test),
    /// Measure fuel, time and memory of an evaluation
    Bench(Bench),
    /// Show what would change if a module decided
    Replay(Replay),
    /// Show what a module imports, exports and says of itself
    Inspect(Module),
    /// Create or update the ConfigMap that holds a module
    Push(Push),
}

#[derive(Args)]
pub(crate) struct New {
    /// The name of the crate, and of its directory
    pub(crate) name: String,
    /// The SDK's directory, in place of the released crate `ecr-policy`
    #[arg(long, value_name = "DIR")]
    pub(crate) sdk: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Build {
    /// The crate's directory
    #[arg(default_value = ".")]
    pub(crate) directory: PathBuf,
    /// A core module of another language in place of a crate
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "directory",
        requires = "output"
    )]
    pub(crate) module: Option<PathBuf>,
    /// Where the component goes; `<crate>.wasm` in the crate's directory otherwise
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// A module and the limits that it has in the cluster.
#[derive(Args)]
pub(crate) struct Module {
    /// The module: a component, plain or compressed
    pub(crate) module: PathBuf,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// The limits of the cluster.
#[derive(Args)]
pub(crate) struct Limits {
    /// The operator's `POLICY_LIMITS`, if it has any
    #[arg(long, env = "POLICY_LIMITS", default_value = "", value_name = "LIMITS")]
    pub(crate) limits: String,
}

/// The administrator's guardrail.
#[derive(Args)]
pub(crate) struct Guard {
    /// A guardrail that sees the decision, as in the cluster
    #[arg(long, value_name = "FILE")]
    pub(crate) guardrail: Option<PathBuf>,
    /// The guardrail's own settings, as JSON
    #[arg(
        long,
        value_name = "JSON",
        default_value = "{}",
        requires = "guardrail"
    )]
    pub(crate) guardrail_settings: String,
}

#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) module: Module,
    /// Settings to check, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) settings: Option<String>,
}

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) module: Module,
    /// The request, as YAML or JSON; what it does not say is as in an ordinary request
    #[arg(long, short, value_name = "FILE")]
    pub(crate) request: Option<PathBuf>,
    /// The request of a resource in the cluster: its name, or kind and name
    #[arg(long, value_name = "NAME", conflicts_with = "request")]
    pub(crate) resource: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) guard: Guard,
    /// Settings in place of the request's, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) settings: Option<String>,
    /// The form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Test {
    #[command(flatten)]
    pub(crate) module: Module,
    #[command(flatten)]
    pub(crate) guard: Guard,
    /// Files with cases
    #[arg(required = true)]
    pub(crate) cases: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) module: Module,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The ConfigMap that decides now; the file's name otherwise, as in `push`
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub(crate) config_map: Option<String>,
    /// All resources of the namespace, whoever decides about them now
    #[arg(long)]
    pub(crate) all: bool,
    /// Write the requests, with what is decided now, to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Requests of such a file in place of the cluster's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config_map", "all", "namespace"])]
    pub(crate) from: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) module: Module,
    /// The request, as YAML or JSON
    #[arg(long, short, value_name = "FILE")]
    pub(crate) request: Option<PathBuf>,
    /// How often it is asked
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
}

#[derive(Args)]
pub(crate) struct Push {
    #[command(flatten)]
    pub(crate) module: Module,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The ConfigMap's name; the file's name otherwise
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Make it the policy of every resource of the namespace that names none
    #[arg(long)]
    pub(crate) default: bool,
}

/// Where in the cluster.
#[derive(Args)]
pub(crate) struct Place {
    /// The namespace; the current one of the kubeconfig otherwise
    #[arg(long, short)]
    pub(crate) namespace: Option<String>,
}

#[derive(Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    pub(crate) place: Place,
    /// All namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
    /// The form of the list
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct One {
    /// The resource: its name, or kind and name (`secret/x`, `argohelmreposecret/x`)
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) one: One,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// The form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The operator's namespace, if it cannot be found
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) operator_namespace: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}
