//! `aws-double`: stands in for Amazon ECR, ECR Public and STS until it is told to stop.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use aws_double::{AwsDouble, Config, Role, Settings};
use clap::Parser;
use jiff::SignedDuration;
use tokio::signal::unix::{SignalKind, signal};

/// Stands in for Amazon ECR, ECR Public and STS. Faults, clock and counters: HTTP under /_double.
#[derive(Debug, Parser)]
#[command(name = "aws-double", version)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Life of authorization tokens, such as 12h, 90s or 1.5s.
    #[arg(long, default_value = "12h", allow_hyphen_values = true, value_parser = duration)]
    token_life: Duration,
    /// Life of temporary credentials, whatever their caller asks for.
    #[arg(long, allow_hyphen_values = true, value_parser = duration)]
    session_life: Option<Duration>,
    /// Least length of passwords, in bytes.
    #[arg(long, default_value_t = 1900)]
    password_bytes: usize,
    /// A static access key id and the ARN behind it; may be repeated. Without any, one example identity is known.
    #[arg(long = "identity", value_name = "KEYID=ARN", value_parser = identity)]
    identities: Vec<(String, String)>,
    /// A role that trusts web identity tokens of an audience (without colons) and a subject (* for any characters).
    #[arg(long = "role", value_name = "ARN=AUDIENCE:SUBJECT", value_parser = role)]
    roles: Vec<Role>,
    /// A role that trusts a user or another role to assume it (* for any characters).
    #[arg(long = "trust", value_name = "ROLE_ARN=PRINCIPAL_ARN", value_parser = trust)]
    trusts: Vec<Role>,
    /// A region that exists; may be repeated. Without any, the ordinary ones exist.
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text
        .parse()
        .map_err(|e: jiff::Error| format!("{e}; write it like 12h, 90s or 1.5s"))?;
    Duration::try_from(parsed).map_err(|_| "must not be negative".to_owned())
}

/// Splits `left=right`, both not empty.
fn pair<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once('=')
        .filter(|(l, r)| !l.is_empty() && !r.is_empty())
        .ok_or_else(|| format!("must read {form}"))
}

fn arn(text: &str) -> Result<&str, String> {
    if text.starts_with("arn:") && text.split(':').count() >= 6 {
        return Ok(text);
    }
    Err(format!(
        "{text} is not an ARN such as arn:aws:iam::123456789012:role/name"
    ))
}

fn identity(text: &str) -> Result<(String, String), String> {
    let (key, name) = pair(text, "KEYID=ARN")?;
    Ok((key.to_owned(), arn(name)?.to_owned()))
}

fn role(text: &str) -> Result<Role, String> {
    let form = "ARN=AUDIENCE:SUBJECT";
    let (name, trust) = pair(text, form)?;
    let (audience, subject) = trust
        .split_once(':')
        .ok_or_else(|| format!("must read {form}"))?;
    Ok(Role::new(arn(name)?).trust_web_identity(audience, subject))
}

fn trust(text: &str) -> Result<Role, String> {
    let (name, principal) = pair(text, "ROLE_ARN=PRINCIPAL_ARN")?;
    Ok(Role::new(arn(name)?).trust_principal(principal))
}

/// Roles of the same ARN become one that trusts all that they trust.
fn merged(roles: impl IntoIterator<Item = Role>) -> Vec<Role> {
    let mut merged: Vec<Role> = Vec::new();
    for role in roles {
        match merged.iter_mut().find(|known| known.arn == role.arn) {
            Some(known) => {
                known.audiences.extend(role.audiences);
                known.subjects.extend(role.subjects);
                known.principals.extend(role.principals);
            }
            None => merged.push(role),
        }
    }
    merged
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let mut config = Self {
            listen: args.listen,
            ..Self::default()
        };
        if !args.identities.is_empty() {
            config.identities = args.identities.into_iter().collect();
        }
        config.roles = merged(args.roles.into_iter().chain(args.trusts));
        config.settings = Settings {
            token_life: args.token_life,
            session_life: args.session_life,
            password_bytes: args.password_bytes,
            ..Settings::default()
        };
        if !args.regions.is_empty() {
            config.settings.regions = args.regions.into_iter().collect();
        }
        config
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aws-double: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), String> {
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|e| format!("watch for SIGTERM: {e}"))?;
    let listen = args.listen;
    let double = AwsDouble::start_with(args.into())
        .await
        .map_err(|e| format!("listen on {listen}: {e}; choose another address with --listen"))?;
    announce(&double).map_err(|e| format!("write to standard output: {e}"))?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(|e| format!("watch for ctrl-c: {e}")),
        _ = terminate.recv() => Ok(()),
    }
}

/// The endpoint, for people and for programs that wait for the first line, then what to paste into a shell.
fn announce(double: &AwsDouble) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "# aws-double listens on {}", double.endpoint())?;
    for (name, value) in double.environment() {
        writeln!(out, "export {name}={value}")?;
    }
    out.flush()
}
