//! Everything that must be there before the first step: built, installed and running.

use super::place::{Given, NAMESPACE, OPERATOR_NAMESPACE, Place};
use super::screen::{Screen, shell_line};
use crate::process::{cargo, run as run_process};
use crate::{guests, workspace};
use anyhow::{Context, Error, Result, anyhow, bail};
use aws_double::AwsDouble;
use ecr_secret_core::manifests::{Installation, Scope, WORKLOAD_NAME};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::{ObjectMeta, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use test_cluster::{Binaries, print_progress};
use test_stage::{Operator, Setup};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long the operator may take for anything that it does at once; a busy machine is slow.
pub(super) const SOON: Duration = Duration::from_mins(1);
/// How often it is seen whether the operator still runs.
const LOOK_AFTER: Duration = Duration::from_millis(500);
/// How long the operator may take to end; it promises ten seconds.
const END: Duration = Duration::from_secs(15);

/// The operator on a cluster.
pub(super) struct Stage {
    // The order matters: the operator ends before what it works on.
    operator: RefCell<Operator>,
    /// What stands in for AWS.
    pub(super) aws: AwsDouble,
    client: Client,
    place: Place,
}

impl Stage {
    /// Sets everything up.
    pub(super) async fn prepare(screen: &Screen, kubeconfig: Option<&Path>) -> Result<Self> {
        // First what may be missing or refused, then what takes long.
        let given = match kubeconfig {
            Some(path) => Some(Given::open(path).await?),
            None => None,
        };
        if given.is_none() {
            screen.say("the programs of a control plane, built once and then kept in a cache");
            tokio::task::spawn_blocking(|| Binaries::ensure(print_progress)).await??;
        }
        screen.say("the policy modules (`cargo xtask guests`)");
        guests::ensure_targets().await?;
        guests::build().await?;
        let binary = build().await?;
        let mut place = if let Some(given) = given {
            Place::Given(Box::new(given))
        } else {
            screen.say("a control plane, without nodes, only for this demo");
            Place::own(screen).await?
        };
        place.begin();
        let client = place.client()?;
        install(screen, &place, &client).await?;
        let aws = AwsDouble::start_with(aws_double::Config::default()).await?;
        let account = place.account(OPERATOR_NAMESPACE, WORKLOAD_NAME).await?;
        let setup = setup(binary, account, &aws)?;
        screen.say(format!(
            "the operator, as its service account {OPERATOR_NAMESPACE}/{WORKLOAD_NAME}"
        ));
        let mut operator = Operator::start(&setup)?;
        let ready = operator.wait_until_ready();
        let ready = screen.watch("the operator to be ready", ready).await;
        // The error goes on with the log, which has a file of its own.
        ready
            .map_err(|error| anyhow!("{} see {}", first_line(&error), workspace::shown(&log())))?;
        Ok(Self {
            operator: RefCell::new(operator),
            aws,
            client,
            place,
        })
    }

    /// The objects of a kind in the namespace of the samples.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + DeserializeOwned,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Whether the cluster serves an API group.
    pub(super) async fn has_group(&self, name: &str) -> Result<bool> {
        let groups = self.client.list_api_groups().await;
        let groups = groups.context("cannot list the groups of the API")?.groups;
        Ok(groups.iter().any(|group| group.name == name))
    }

    /// Shows a kubectl command in the namespace of the samples, runs it, and shows what it prints.
    ///
    /// # Errors
    /// It ends with an error.
    pub(super) async fn kubectl(&self, screen: &Screen, words: &[&str]) -> Result<()> {
        let words = in_namespace(words);
        screen.command(&shell_line(&words));
        let what = format!("kubectl {}", words[3]);
        let output = screen.watch(&what, self.run(&words, None)).await?;
        screen.output(&output);
        Ok(())
    }

    /// As [`Stage::kubectl`], with what a first command prints as the input of a second.
    pub(super) async fn kubectl_pipe(
        &self,
        screen: &Screen,
        first: &[&str],
        second: &[&str],
    ) -> Result<()> {
        let (first, second) = (in_namespace(first), in_namespace(second));
        screen.command(&format!(
            "{} \\\n      | {}",
            shell_line(&first),
            shell_line(&second)
        ));
        let object = self.run(&first, None).await?;
        screen.output(&self.run(&second, Some(&object)).await?);
        Ok(())
    }

    async fn run(&self, words: &[&str], input: Option<&str>) -> Result<String> {
        run_kubectl(&self.place, &words[1..], input).await
    }

    /// Waits until the operator ends, which it should not.
    pub(super) async fn operator_ended(&self) {
        while self.operator.borrow_mut().is_running().unwrap_or(false) {
            tokio::time::sleep(LOOK_AFTER).await;
        }
    }

    /// How to use kubectl on the stage.
    pub(super) fn explain(&self, screen: &Screen) {
        screen.say(format!(
            "The operator serves the namespace {NAMESPACE}. To look at it from another terminal:"
        ));
        screen.command(&format!(
            "export KUBECONFIG={}",
            self.place.kubeconfig_path().display()
        ));
        let program = self.place.kubectl_program();
        if let Some(directory) = program.parent().filter(|path| path.is_absolute()) {
            screen.command(&format!("export PATH={}:$PATH", directory.display()));
        }
        for command in [
            "get ecr",
            "describe ecrsec/with-policy",
            "annotate ecrsec/ecr-secret ecr.mobb.redhat.com/refresh-requested-at=\"$(date +%s)\" --overwrite",
            "get secrets --watch",
        ] {
            screen.command(&format!("kubectl -n {NAMESPACE} {command}"));
        }
        screen.command(&format!("curl {}/_double", self.aws.endpoint()));
        screen.command(&format!("tail -f {}", workspace::shown(&log())));
    }

    /// Ends all of it.
    pub(super) async fn end(self, screen: &Screen) -> Result<()> {
        let mut operator = self.operator.into_inner();
        // With a ctrl-c on the terminal it ends by itself.
        if operator.is_running()? {
            operator.terminate(END).await?;
        }
        self.place.end(screen).await
    }
}

/// Where the operator's log is.
pub(super) fn log() -> PathBuf {
    workspace::target().join("demo").join("operator.log")
}

fn in_namespace<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["kubectl", "-n", NAMESPACE], words].concat()
}

fn first_line(error: &Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Runs kubectl to its end and returns what it printed.
async fn run_kubectl(place: &Place, words: &[&str], input: Option<&str>) -> Result<String> {
    let mut command = Command::from(place.kubectl());
    command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().context("cannot start kubectl")?;
    if let Some((pipe, input)) = child.stdin.take().zip(input) {
        write(pipe, input).await?;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let line = errors.split_whitespace().collect::<Vec<_>>().join(" ");
        bail!(
            "{} failed: {line}",
            shell_line(&[&["kubectl"], words].concat())
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn write(mut pipe: tokio::process::ChildStdin, input: &str) -> Result<()> {
    let done = pipe.write_all(input.as_bytes()).await;
    done.context("kubectl does not take its input")
}

/// Builds the operator, with the features of the whole workspace, so that tests and demo share what is built.
async fn build() -> Result<PathBuf> {
    const NAME: &str = "ecr-secret-operator";
    let mut command = cargo(&workspace::root());
    command.args(["build", "--workspace", "--bin", NAME]);
    run_process(command).await?;
    Ok(workspace::target().join("debug").join(NAME))
}

async fn install(screen: &Screen, place: &Place, client: &Client) -> Result<()> {
    let file = "samples/namespace.yaml";
    screen.command(&format!("kubectl apply -f {file}"));
    screen.output(&run_kubectl(place, &["apply", "-f", file], None).await?);
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    if place.has_controllers() {
        screen
            .wait_for("the service account default", SOON, async || {
                Ok(accounts.get("default").await?)
            })
            .await?;
    } else {
        // KUBEBUILDER_ASSETS has no kube-controller-manager, whose part this is.
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some("default".to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        accounts.create(&PostParams::default(), &account).await?;
    }
    screen.say(
        "CRDs, service account and Role, as in deploy/install.yaml, but for this namespace alone",
    );
    let installation = Installation {
        namespace: OPERATOR_NAMESPACE.to_owned(),
        scope: Scope::Namespaces(vec![NAMESPACE.to_owned()]),
        ..Installation::default()
    };
    test_stage::install(client, &installation).await
}

fn setup(binary: PathBuf, kubeconfig: PathBuf, aws: &AwsDouble) -> Result<Setup> {
    let log = log();
    let directory = log.parent().unwrap_or(&log);
    // Each demo begins with an empty log.
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&log, ""))
        .with_context(|| format!("cannot write {}", workspace::shown(&log)))?;
    let aws = aws.environment().into_iter();
    let mut environment: Vec<_> = aws.map(|(name, value)| (name.to_owned(), value)).collect();
    environment.push(("LOG_FORMAT".to_owned(), "text".to_owned()));
    Ok(Setup {
        binary,
        kubeconfig,
        watch_namespace: NAMESPACE.to_owned(),
        namespace: OPERATOR_NAMESPACE.to_owned(),
        leader_elect: true,
        environment,
        log,
    })
}
