//! Modules that attack: each gets its typed reason, and nobody else feels it.

use ecr_secret_core::api::Status;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use super::{MODULE, builds, left, message, policy_spec};
use crate::support::{SOON, Stage, password, spec, state};

/// What the hostile guest does, and the reasons that it may give: which limit is reached first is its affair.
const MISDEEDS: [(&str, &[&str]); 17] = [
    ("loop", &["PolicyFuelExhausted", "PolicyDeadlineExceeded"]),
    ("eat-memory", &["PolicyMemoryLimit"]),
    ("trap", &["PolicyTrap"]),
    ("recurse", &["PolicyStackExhausted"]),
    (
        "million-labels",
        &[
            "PolicyMemoryLimit",
            "PolicyFuelExhausted",
            "PolicyResultTooLarge",
        ],
    ),
    (
        "million-accounts",
        &[
            "PolicyMemoryLimit",
            "PolicyFuelExhausted",
            "PolicyResultTooLarge",
        ],
    ),
    (
        "million-errors",
        &[
            "PolicyMemoryLimit",
            "PolicyFuelExhausted",
            "PolicyResultTooLarge",
        ],
    ),
    ("huge-name", &["PolicyResultTooLarge"]),
    ("huge-refusal", &["PolicyResultTooLarge"]),
    ("invalid-name", &["PolicyInvalidDecision"]),
    ("empty-name", &["PolicyInvalidDecision"]),
    ("foreign-namespace-name", &["PolicyInvalidDecision"]),
    ("invalid-label", &["PolicyInvalidDecision"]),
    ("reserved-label", &["PolicyInvalidDecision"]),
    ("invalid-account", &["PolicyInvalidDecision"]),
    ("deny", &["PolicyDenied"]),
    ("deny-control-characters", &["PolicyDenied"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_policy_gets_its_typed_reason_and_hurts_nobody_but_itself() {
    let (stage, mut operator) = Stage::with_operator().await;
    let maps = builds("hostile").map(|guest| (guest.replace('.', "-"), guest));
    for (map, guest) in &maps {
        stage.upload(map, MODULE, Stage::guest(guest)).await;
    }
    let cases: Vec<(String, &String, &str, &[&str])> = maps
        .iter()
        .flat_map(|(map, _)| {
            MISDEEDS.map(|(misdeed, reasons)| (format!("{misdeed}-{map}"), map, misdeed, reasons))
        })
        .collect();
    let settings =
        |misdeed: &str| json!({ "spec": { "policy": { "settings": { "do": misdeed } } } });
    let told = |name: String, reasons: &'static [&'static str]| {
        let stage = &stage;
        async move {
            let bad = |status: &Status| {
                status
                    .condition("Ready")
                    .is_some_and(|ready| ready.status.as_str() == "False")
            };
            // All of them at once keep two cores busy for a while.
            let status = stage
                .status_within(3 * SOON, &name, "Ready is False", bad)
                .await;
            let ready = status.condition("Ready").unwrap();
            assert!(
                reasons.contains(&ready.reason.as_str()),
                "{name}: {} is not {reasons:?}",
                ready.reason
            );
            assert!(
                !ready.message.contains(char::is_control) && ready.message.len() < 2000,
                "{name}: {}",
                ready.message
            );
            status
        }
    };

    // As the first decision ever: there is no Secret.
    for (name, map, misdeed, _) in &cases {
        stage
            .create(
                name,
                policy_spec(
                    name,
                    json!({ "config_map": map, "settings": { "do": misdeed } }),
                ),
            )
            .await;
    }
    // One beside them, which came last, does not wait for them.
    stage.create("healthy", spec("healthy")).await;
    stage.ready("healthy", "Refreshed").await;
    for (name, map, _, reasons) in &cases {
        let status = told(name.clone(), reasons).await;
        assert!(
            message(&status, "Ready").contains(&format!("ConfigMap {map}")),
            "{name}: {}",
            message(&status, "Ready")
        );
        assert_eq!(
            (status.phase, status.generated_secret_name),
            (None, None),
            "{name}"
        );
    }
    let names: Vec<String> = stage
        .secrets()
        .list(&ListParams::default())
        .await
        .unwrap()
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    assert!(
        names
            .iter()
            .all(|name| !cases.iter().any(|(case, ..)| case == name)),
        "{names:?}"
    );

    // With good settings they recover without a restart.
    for (name, ..) in &cases {
        stage.change(name, settings("nothing")).await;
    }
    for (name, ..) in &cases {
        stage.ready(name, "Refreshed").await;
    }

    // After a good decision: the Secret stays as it is.
    let mut before = Vec::new();
    for (name, _, misdeed, _) in &cases {
        before.push(stage.secret(name).await);
        stage.change(name, settings(misdeed)).await;
    }
    Stage::old_enough_for_a_refresh(&stage.secret("healthy").await).await;
    stage.request_refresh("healthy", "now").await;
    stage
        .status("healthy", "the request is obeyed", |status| {
            status.handled_refresh_request.as_deref() == Some("now")
        })
        .await;
    for ((name, _, _, reasons), secret) in cases.iter().zip(&before) {
        let status = told(name.clone(), reasons).await;
        assert!(
            message(&status, "Ready").contains(&format!("Secret {name} stays valid until")),
            "{name}: {}",
            message(&status, "Ready")
        );
        assert_eq!(state(&stage.secret(name).await), state(secret), "{name}");
    }
    assert!(operator.is_running().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policys_odd_times_and_long_logs_are_put_right_and_the_secret_is_good() {
    let (stage, _operator) = Stage::with_operator().await;
    for (map, guest) in builds("hostile").map(|guest| (guest.replace('.', "-"), guest)) {
        stage.upload(&map, MODULE, Stage::guest(&guest)).await;
        // What is done, how often, whether the time is clamped, and how many seconds of the token's life are left then.
        let life = 12 * 3600;
        for (misdeed, clamped, rest) in [
            ("past-time", true, Some(life - 10)),
            ("year-9999", true, Some(life / 8)),
            ("end-of-time", true, Some(life / 8)),
            ("far-after-issue", true, Some(life / 8)),
            ("far-before-expiry", true, Some(life - 10)),
            ("huge-log", false, None),
            ("unknown-account", false, None),
        ] {
            let name = format!("{misdeed}-{map}");
            let mut spec = policy_spec(
                &name,
                json!({ "config_map": map, "settings": { "do": misdeed, "count": 1000 } }),
            );
            spec["frequency"] = json!("24h");
            stage.create(&name, spec).await;
            let status = stage.ready(&name, "Refreshed").await;
            assert_eq!(
                status
                    .condition("Adjusted")
                    .map(|adjusted| adjusted.reason.as_str()),
                clamped.then_some("RefreshTimeClamped"),
                "{name}"
            );
            if let Some(rest) = rest {
                assert_eq!(
                    left(&status),
                    rest,
                    "{name}: {}",
                    message(&status, "Adjusted")
                );
            }
            assert!(
                aws_double::issued(&password(&stage.secret(&name).await)).is_some(),
                "{name}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_modules_without_end_are_looked_at_now_and_then_and_a_good_one_after_them_takes_over()
 {
    const UPLOADS: usize = 100;
    let (stage, operator) = Stage::with_operator().await;
    stage.upload("p", MODULE, b"none".to_vec()).await;
    let spec = policy_spec("a", json!({ "config_map": "p" }));
    stage.create("a", spec).await;
    stage.ready("a", "PolicyNotAComponent").await;
    for number in 0..UPLOADS {
        let none = format!("none {number}");
        stage.upload("p", MODULE, none.into_bytes()).await;
    }
    stage.upload("p", MODULE, Stage::guest("default")).await;
    // It waits for what those before it cost.
    stage.ready_within(4 * SOON, "a", "Refreshed").await;
    let looked_at = refusals(&operator.metrics().await.unwrap());
    assert!(looked_at > 0.0, "nothing was counted");
    assert!(looked_at < 30.0, "{looked_at} of {UPLOADS} were looked at");
}

/// How many modules were refused because they are none.
fn refusals(metrics: &str) -> f64 {
    let counted = "ecr_secret_policy_evaluation_total{result=\"PolicyNotAComponent\"} ";
    let values = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(counted));
    values.map(|value| value.parse::<f64>().unwrap()).sum()
}
