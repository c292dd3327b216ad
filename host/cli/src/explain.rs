//! `explain`: why this name, these accounts, this time.

use ecr_policy_model::{Decision, Refresh, default_decision};
use ecr_policy_verdict::{Failed, ask};
use ecr_secret_core::reason::Reason;
use ecr_secret_core::schedule::{Schedule, schedule};
use ecr_secret_core::validate::{DecisionLimits, ValidDecision, validate_decision};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command_line::{Explain, Output};
use crate::live::{Live, LiveModule, Surroundings};
use crate::outcome::{Failure, Outcome};
use crate::policy::{self, decision};
use crate::resources::{connect, find};
use crate::screen;

/// What was found out about a resource.
struct Explanation {
    live: Live,
    /// Where the decision comes from: the module's `ConfigMap` and digest.
    policy: Option<(String, String)>,
    answer: Result<Decision, Failed>,
    schedule: Option<Schedule>,
}

pub(crate) async fn explain(arguments: Explain) -> Outcome {
    let (client, namespace) = connect(&arguments.one.place).await?;
    let found = find(&client, &namespace, &arguments.one.name).await?;
    let surroundings = Surroundings::of(&client, &namespace).await?;
    let live = surroundings.live_of(&found).await;
    let module = surroundings.module(live.policy.as_ref()).await?;
    let limits = arguments.limits.limits.clone();
    // Evaluating blocks, and uses a runtime of its own.
    let explanation = tokio::task::spawn_blocking(move || judge(live, module, &limits))
        .await
        .map_err(|error| Failure::No(format!("the evaluation ended: {error}")))??;
    if arguments.output == Output::Json {
        println!("{:#}", explanation.json());
    } else {
        print!("{}", explanation.text());
    }
    match explanation.answer {
        Ok(_) => Ok(()),
        Err(failed) => Err(policy::no(&failed)),
    }
}

fn judge(live: Live, module: Option<LiveModule>, limits: &str) -> Outcome<Explanation> {
    let rules = DecisionLimits::default();
    let (policy, answer) = match module {
        None => {
            let decided = default_decision(&live.request);
            let valid = validate_decision(&decided, &live.request, &rules);
            let answer = valid.map_err(|error| {
                let message = format!("the spec is not valid: {error}");
                ecr_secret_core::decide::Problem::new(Reason::InvalidSpec, message).into()
            });
            (None, answer)
        }
        Some(module) => {
            let source = format!("ConfigMap {}", module.config_map);
            let loaded = policy::load(&module.file, source, limits)?;
            let digest = loaded.policy.digest().to_owned();
            let judged = ask(&loaded.policy, &loaded.source, &live.request, &rules);
            (Some((module.config_map, digest)), judged.answer)
        }
    };
    let answer = answer.map(ValidDecision::into_inner);
    let schedule = answer
        .as_ref()
        .ok()
        .zip(live.window)
        .map(|(decision, window)| {
            let seed = &live.request.resource.uid;
            schedule(window, &live.frequency, decision.refresh, seed)
        });
    Ok(Explanation {
        live,
        policy,
        answer,
        schedule,
    })
}

impl Explanation {
    fn json(&self) -> Value {
        let policy = self.policy.as_ref();
        json!({
            "resource": self.live.name,
            "policy": policy.map(|(name, digest)| json!({ "config_map": name, "sha256": digest })),
            "request": self.live.request,
            "answer": decision::answer(self.answer.as_ref()),
            "refresh": self.schedule.as_ref().map(|schedule| json!({
                "at": schedule.refresh_at.to_string(),
                "adjusted": schedule.adjusted.as_ref().map(|adjusted| &adjusted.message),
            })),
            "status": self.live.status,
        })
    }

    fn text(&self) -> String {
        let live = &self.live;
        let resource = &live.request.resource;
        let mut rows = vec![
            row(
                "resource",
                format!("{} in namespace {}", live.name, resource.namespace),
            ),
            row("registry", self.registry()),
            row("policy", self.decider()),
            row("settings", live.request.settings.clone()),
        ];
        match &self.answer {
            Ok(decision) => {
                rows.push(row("Secret", self.name(decision)));
                rows.push(row("labels", pairs(&decision.labels)));
                rows.push(row("annotations", pairs(&decision.annotations)));
                rows.push(row("accounts", self.accounts(decision)));
                rows.push(row("token", self.token()));
                rows.push(row("refresh", self.refresh(decision)));
            }
            Err(failed) => rows.push(row("decision", format!("none: {}", failed.problem.reason))),
        }
        for condition in &live.status.conditions {
            let text = format!(
                "{}, {}: {}",
                condition.status.as_str(),
                condition.reason,
                condition.message
            );
            rows.push(row(&condition.type_, text));
        }
        if let Some(note) = self.elsewhere() {
            rows.push(row("note", note));
        }
        screen::table(&rows)
    }

    fn registry(&self) -> String {
        let registry = &self.live.request.resource.registry;
        match &self.live.target {
            Ok(target) => format!(
                "{registry}, served by {:?} ECR in {}",
                target.kind, target.region
            ),
            Err(why) => format!("{registry}: {why}"),
        }
    }

    fn decider(&self) -> String {
        let named = self
            .live
            .policy
            .as_ref()
            .is_some_and(|policy| policy.config_map.is_some());
        match &self.policy {
            None => "none: the operator decides by itself".to_owned(),
            Some((name, digest)) => {
                let why = if named {
                    "named by the resource"
                } else {
                    "the namespace's default"
                };
                format!("ConfigMap {name}, {why}, sha256 {digest}")
            }
        }
    }

    fn name(&self, decision: &Decision) -> String {
        let own = self.live.request.resource.generated_secret_name.as_deref();
        let name = &decision.secret_name;
        match own {
            Some(own) if own == name => format!("{name}, as generated_secret_name says"),
            Some(own) => format!("{name}, by the policy; generated_secret_name is {own}"),
            None => format!("{name}, by the policy; the resource sets no generated_secret_name"),
        }
    }

    fn accounts(&self, decision: &Decision) -> String {
        let request = &self.live.request;
        let linked = &self.live.status.service_accounts;
        let told = decision.service_accounts.iter().map(|link| {
            let uses = [(link.image_pull, "image pull"), (link.mount, "mount")];
            let uses: Vec<&str> = uses
                .iter()
                .filter(|(wanted, _)| *wanted)
                .map(|(_, word)| *word)
                .collect();
            let by = if request.resource.service_accounts.contains(link) {
                "by the resource"
            } else {
                "by the policy"
            };
            let state = if linked.iter().any(|account| account.name == link.name) {
                "linked"
            } else if request
                .service_accounts
                .iter()
                .any(|account| account.name == link.name)
            {
                "not linked yet"
            } else {
                "does not exist yet"
            };
            format!("{} ({}) {by}, {state}", link.name, uses.join(" and "))
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() {
            "none".to_owned()
        } else {
            told.join("; ")
        }
    }

    fn token(&self) -> String {
        match self.live.window {
            Some(window) => format!(
                "issued {:.0}, dies {:.0}",
                window.issued_at, window.expires_at
            ),
            None => "none that this user can see".to_owned(),
        }
    }

    fn refresh(&self, decision: &Decision) -> String {
        let asked = match decision.refresh {
            Refresh::HostDefault => format!(
                "every {} s or when the token says so",
                self.live.request.resource.frequency_seconds
            ),
            Refresh::At(at) => format!("at {}", moment(at)),
            Refresh::AfterIssue(seconds) => format!("{seconds} s after issue"),
            Refresh::BeforeExpiry(seconds) => format!("{seconds} s before the end"),
        };
        match &self.schedule {
            None => asked,
            Some(Schedule {
                refresh_at,
                adjusted: None,
            }) => format!("{refresh_at:.0}: {asked}"),
            Some(Schedule {
                refresh_at,
                adjusted: Some(adjusted),
            }) => {
                format!("{refresh_at:.0}: {asked}; corrected: {}", adjusted.message)
            }
        }
    }

    /// Where the cluster has something else than what was found out here.
    fn elsewhere(&self) -> Option<String> {
        let status = &self.live.status;
        let there = status
            .policy
            .as_ref()
            .and_then(|policy| policy.digest.as_ref());
        if let (Some(there), Some((_, here))) = (there, &self.policy)
            && there != here
        {
            return Some(format!(
                "in the cluster the version {there} decides; see the condition Ready"
            ));
        }
        let (decision, there) = (
            self.answer.as_ref().ok()?,
            status.generated_secret_name.as_ref()?,
        );
        (decision.secret_name != *there)
            .then(|| format!("in the cluster the Secret is {there}; see the conditions"))
    }
}

fn row(name: &str, text: String) -> Vec<String> {
    vec![name.to_owned(), text]
}

fn pairs(pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return "none".to_owned();
    }
    let told: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    told.join(", ")
}

fn moment(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("second {seconds}"), |time| time.to_string())
}
