#![allow(clippy::unwrap_used, reason = "tests")]
use ecr_policy_model::AccountLink;
use proptest::prelude::*;

use super::*;
use crate::api::{PolicyStatus, PolicyUsage, Status};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn window(age: i64) -> TokenWindow {
    TokenWindow {
        issued_at: at(NOW - age),
        expires_at: at(NOW - age + 12 * HOUR),
    }
}

fn named(name: &str) -> Decision {
    Decision {
        secret_name: name.into(),
        ..Decision::default()
    }
}

fn inputs(name: &str) -> String {
    format!("inputs of {name}")
}

fn owned(name: &str, age: i64) -> OwnedSecret {
    OwnedSecret {
        name: name.into(),
        window: Some(window(age)),
        inputs: Some(inputs(name)),
        refresh_request: None,
        decision: Some(named(name)),
        intact: true,
    }
}

struct Case {
    suspend: bool,
    request: Option<&'static str>,
    observed: Observed,
    verdict: Result<Decision, Problem>,
}

impl Case {
    fn new(owned: Vec<OwnedSecret>) -> Self {
        Self {
            suspend: false,
            request: None,
            observed: Observed {
                owned,
                ..Observed::default()
            },
            verdict: Ok(named("a")),
        }
    }

    fn decide(&self) -> Plan {
        let frequency = Frequency::from_spec(None);
        let asked = Asked {
            uid: "uid",
            frequency: &frequency,
            suspend: self.suspend,
            refresh_request: self.request,
            inputs: &inputs,
        };
        let mut observed = self.observed.clone();
        observed.last_good = last_good(&observed.owned, observed.last_good);
        decide(at(NOW), &asked, &observed, &self.verdict)
    }
}

fn fetches(plan: &Plan) -> bool {
    matches!(plan.action, Action::Fetch(_))
}

#[test]
fn a_good_secret_is_kept_and_looked_at_when_it_is_due() {
    let plan = Case::new(vec![owned("a", HOUR)]).decide();
    assert_eq!(plan.action, Action::Keep);
    assert_eq!(plan.problem, None);
    assert!(plan.look_at.unwrap() > at(NOW + 8 * HOUR));
}

#[test]
fn a_missing_edited_outdated_or_due_secret_needs_a_token() {
    let edited = OwnedSecret {
        intact: false,
        ..owned("a", HOUR)
    };
    let outdated = OwnedSecret {
        inputs: Some("other registry".into()),
        ..owned("a", HOUR)
    };
    let unreadable = OwnedSecret {
        window: None,
        ..owned("a", HOUR)
    };
    for secrets in [
        vec![],
        vec![edited],
        vec![outdated],
        vec![unreadable],
        vec![owned("a", 11 * HOUR)],
    ] {
        assert!(fetches(&Case::new(secrets.clone()).decide()), "{secrets:?}");
    }
}

#[test]
fn a_token_in_hand_is_written_only_if_it_is_young_enough() {
    let mut case = Case::new(vec![owned("a", 11 * HOUR)]);
    case.observed.in_hand = Some(window(0));
    assert_eq!(case.decide().action, Action::Write);
    case.observed.in_hand = Some(window(8 * HOUR));
    assert!(fetches(&case.decide()));
}

#[test]
fn repairing_a_secret_does_not_need_a_younger_token_than_it_had() {
    let mut case = Case::new(vec![OwnedSecret {
        intact: false,
        ..owned("a", 8 * HOUR)
    }]);
    case.observed.in_hand = Some(window(8 * HOUR));
    assert_eq!(case.decide().action, Action::Write);
}

#[test]
fn a_request_forces_one_refresh_and_no_second_one() {
    let mut case = Case::new(vec![owned("a", HOUR)]);
    case.request = Some("now");
    assert_eq!(
        case.decide().action,
        Action::Fetch(Freshness {
            issued_after: at(NOW - 2),
            force: true
        })
    );
    case.observed.owned[0].refresh_request = Some("now".into());
    assert_eq!(case.decide().action, Action::Keep);
    case.request = None;
    assert_eq!(
        case.decide().action,
        Action::Keep,
        "taking the annotation away asks for nothing"
    );
}

#[test]
fn a_request_before_there_is_a_secret_cuts_a_wait_short_and_takes_any_fresh_token() {
    let mut case = Case::new(vec![]);
    let Action::Fetch(unasked) = case.decide().action else {
        panic!("a token is needed")
    };
    assert!(!unasked.force);
    case.request = Some("now");
    assert_eq!(
        case.decide().action,
        Action::Fetch(Freshness {
            force: true,
            ..unasked
        })
    );
    case.observed.in_hand = Some(window(60));
    assert_eq!(case.decide().action, Action::Write);
}

#[test]
fn a_suspended_resource_is_left_alone() {
    let mut case = Case::new(vec![owned("a", 20 * HOUR)]);
    case.suspend = true;
    let plan = case.decide();
    assert_eq!(plan.action, Action::Keep);
    assert_eq!(plan.problem.unwrap().reason, Reason::Suspended);
    assert_eq!(plan.look_at, None);
}

#[test]
fn a_rename_writes_the_new_secret_before_the_old_one_goes() {
    let mut case = Case::new(vec![owned("old", HOUR)]);
    let plan = case.decide();
    assert!(fetches(&plan));
    assert!(
        plan.remove.is_empty(),
        "nothing goes before the new one is there"
    );
    case.observed.in_hand = Some(window(0));
    let plan = case.decide();
    assert_eq!(
        (plan.action, plan.remove),
        (Action::Write, vec!["old".to_owned()])
    );
}

#[test]
fn a_failing_policy_leaves_the_last_good_decision_in_force() {
    let mut case = Case::new(vec![owned("a", 11 * HOUR)]);
    case.verdict = Err(Problem::new(Reason::PolicyTrap, "it trapped"));
    let plan = case.decide();
    assert!(fetches(&plan), "renewals go on");
    assert_eq!(plan.in_force.unwrap().secret_name, "a");
    assert_eq!(plan.problem.unwrap().reason, Reason::PolicyTrap);
}

#[test]
fn a_newer_version_that_fails_is_told_while_the_one_before_it_decides() {
    let mut case = Case::new(vec![owned("a", 11 * HOUR)]);
    case.observed.newer_policy = Some(Problem::new(Reason::PolicyTrap, "the new one trapped"));
    let plan = case.decide();
    assert!(fetches(&plan), "renewals go on");
    assert_eq!(plan.problem.unwrap().reason, Reason::PolicyTrap);
    case.observed.newer_policy = Some(Problem::new(Reason::PolicyDenied, "the new one denies"));
    case.suspend = true;
    assert_eq!(case.decide().problem.unwrap().reason, Reason::Suspended);
}

#[test]
fn a_policy_that_never_decided_well_leaves_nothing_to_do() {
    let mut case = Case::new(vec![]);
    case.verdict = Err(Problem::new(Reason::PolicyTrap, "it trapped"));
    let plan = case.decide();
    assert_eq!((plan.action, plan.in_force), (Action::Nothing, None));
}

#[test]
fn a_fixed_time_of_a_last_good_decision_does_not_renew_for_ever() {
    let mut case = Case::new(vec![owned("a", HOUR)]);
    case.observed.last_good = Some(Decision {
        refresh: Refresh::At(5),
        ..named("a")
    });
    case.verdict = Err(Problem::new(Reason::PolicyMissing, "gone"));
    assert_eq!(case.decide().action, Action::Keep);
}

#[test]
fn a_denial_stops_renewals_and_deletes_nothing() {
    let mut case = Case::new(vec![owned("a", 11 * HOUR), owned("b", HOUR)]);
    for reason in [Reason::PolicyDenied, Reason::GuardrailDenied] {
        case.verdict = Err(Problem::new(reason, "no"));
        let plan = case.decide();
        assert_eq!(plan.action, Action::Keep);
        assert!(plan.remove.is_empty());
    }
}

#[test]
fn what_the_guardrail_took_away_is_told_beside_what_else_was_corrected() {
    let mut case = Case::new(vec![owned("a", HOUR)]);
    case.observed.narrowed = Some(Adjusted {
        reason: Reason::GuardrailNarrowed,
        message: "no links".into(),
    });
    assert_eq!(case.decide().adjusted, case.observed.narrowed);
    case.verdict = Ok(Decision {
        refresh: Refresh::At(5),
        ..named("a")
    });
    let adjusted = case.decide().adjusted.unwrap();
    assert_eq!(adjusted.reason, Reason::GuardrailNarrowed);
    assert!(
        adjusted
            .message
            .starts_with("no links; the policy asked for"),
        "{adjusted:?}"
    );
}

#[test]
fn a_name_that_is_taken_leaves_the_old_secret_in_force() {
    let mut case = Case::new(vec![owned("old", 11 * HOUR)]);
    case.observed
        .taken
        .insert("a".into(), Problem::new(Reason::SecretConflict, "not ours"));
    let plan = case.decide();
    assert!(fetches(&plan), "the old Secret is still renewed");
    assert_eq!(plan.in_force.unwrap().secret_name, "old");
    assert_eq!(plan.problem.unwrap().reason, Reason::SecretConflict);
    assert!(plan.look_at.unwrap() <= at(NOW + 60));
}

#[test]
fn a_policy_that_changes_its_mind_at_every_look_is_slowed_down() {
    let mut case = Case::new(vec![owned("old", HOUR)]);
    case.observed.last_change = Some(at(NOW - 3));
    let plan = case.decide();
    assert_eq!(plan.action, Action::Keep);
    assert_eq!(plan.look_at, Some(at(NOW + 7)));
    case.observed.last_change = Some(at(NOW - 10));
    assert!(fetches(&case.decide()));
}

#[test]
fn new_labels_or_accounts_are_a_reason_to_write() {
    let mut case = Case::new(vec![owned("a", HOUR)]);
    case.verdict = Ok(Decision {
        labels: vec![("team".into(), "x".into())],
        ..named("a")
    });
    assert!(fetches(&case.decide()));
    let link = AccountLink {
        name: "builder".into(),
        image_pull: true,
        mount: false,
    };
    case.verdict = Ok(Decision {
        service_accounts: vec![link],
        ..named("a")
    });
    assert!(fetches(&case.decide()));
}

#[test]
fn an_unchanged_outcome_gives_an_unchanged_status() {
    let plan = Case::new(vec![owned("a", HOUR)]).decide();
    let outcome = Outcome {
        secret: Some(Written {
            name: "a".into(),
            window: Some(window(HOUR)),
            now: false,
        }),
        ..Outcome::default()
    };
    let first = next_status(at(NOW), Some(1), None, &plan, &outcome);
    let second = next_status(at(NOW + 100), Some(1), Some(&first), &plan, &outcome);
    assert_eq!(first, second);
    assert_eq!(first.condition("Ready").unwrap().reason, "Refreshed");
}

#[test]
fn what_a_run_used_is_told_with_the_next_change_and_is_none_itself() {
    let plan = Case::new(vec![owned("a", HOUR)]).decide();
    let run = |used: i64, digest: &str| Outcome {
        policy: Some(PolicyStatus {
            source: "configmap/p".into(),
            digest: Some(digest.into()),
            usage: vec![PolicyUsage {
                name: "fuel".into(),
                used: Some(used),
                limit: 9,
                unit: "Count".into(),
            }],
            ..PolicyStatus::default()
        }),
        ..Outcome::default()
    };
    let used = |status: &Status| status.policy.as_ref().unwrap().usage[0].used;
    let first = next_status(at(NOW), Some(1), None, &plan, &run(1, "x"));
    assert_eq!(used(&first), Some(1));
    let same = next_status(at(NOW + 9), Some(1), Some(&first), &plan, &run(2, "x"));
    assert_eq!(same, first);
    let other = next_status(at(NOW + 9), Some(1), Some(&first), &plan, &run(3, "y"));
    assert_eq!(used(&other), Some(3));
}

#[test]
fn a_failure_says_how_long_the_old_secret_stays_valid() {
    let plan = Case::new(vec![owned("a", HOUR)]).decide();
    let outcome = Outcome {
        secret: Some(Written {
            name: "a".into(),
            window: Some(window(HOUR)),
            now: false,
        }),
        problem: Some(Problem::new(Reason::Throttled, "slow down")),
        ..Outcome::default()
    };
    let status = next_status(at(NOW), Some(1), None, &plan, &outcome);
    let ready = status.condition("Ready").unwrap();
    assert_eq!(
        (ready.reason.as_str(), ready.status),
        ("Throttled", crate::api::ConditionStatus::False)
    );
    assert!(
        ready.message.contains("stays valid until"),
        "{}",
        ready.message
    );
}

proptest! {
    #[test]
    fn a_plan_never_removes_the_secret_in_force_and_never_removes_before_it_exists(
        ages in proptest::collection::vec(0i64..20 * HOUR, 0..4),
        fails in any::<bool>(),
        suspend in any::<bool>(),
        in_hand in proptest::option::of(0i64..20 * HOUR),
    ) {
        let names = ["a", "b", "c", "d"];
        let mut case = Case::new(ages.iter().zip(names).map(|(age, name)| owned(name, *age)).collect());
        case.suspend = suspend;
        case.observed.in_hand = in_hand.map(window);
        if fails {
            case.verdict = Err(Problem::new(Reason::PolicyTrap, "it trapped"));
        }
        let plan = case.decide();
        if let Some(decision) = &plan.in_force {
            prop_assert!(!plan.remove.contains(&decision.secret_name));
            let exists = case.observed.owned.iter().any(|secret| secret.name == decision.secret_name);
            prop_assert!(plan.remove.is_empty() || exists || plan.action == Action::Write);
        } else {
            prop_assert!(plan.remove.is_empty());
        }
    }
}

#[test]
fn a_write_that_a_crash_kept_from_the_status_is_told_by_the_next_one() {
    let plan = Case::new(vec![owned("a", HOUR)]).decide();
    let secret = Written {
        name: "a".into(),
        window: Some(window(HOUR)),
        now: false,
    };
    let outcome = Outcome {
        secret: Some(secret.clone()),
        ..Outcome::default()
    };
    let told = |previous: Option<i64>, outcome: &Outcome| {
        let previous = previous.map(|second| Status {
            last_updated_time: Some(at(second).into()),
            ..Status::default()
        });
        let status = next_status(at(NOW), Some(1), previous.as_ref(), &plan, outcome);
        status.last_updated_time.unwrap().timestamp()
    };
    assert_eq!(told(None, &outcome), at(NOW - HOUR));
    assert_eq!(told(Some(NOW - 11 * HOUR), &outcome), at(NOW - HOUR));
    assert_eq!(told(Some(NOW - 60), &outcome), at(NOW - 60));
    let written = Outcome {
        secret: Some(Written {
            now: true,
            ..secret
        }),
        ..Outcome::default()
    };
    assert_eq!(told(Some(NOW - 60), &written), at(NOW));
}
