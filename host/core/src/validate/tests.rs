#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
use ecr_policy_model::{Refresh, Resource, ResourceKind, default_decision};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn request() -> Request {
    let resource = Resource {
        generated_secret_name: Some("ecr".into()),
        ..Resource::default()
    };
    Request {
        resource,
        ..Request::default()
    }
}

fn decision() -> Decision {
    Decision {
        secret_name: "ecr".into(),
        ..Decision::default()
    }
}

fn check(decision: &Decision) -> Result<ValidDecision, InvalidDecision> {
    validate_decision(decision, &request(), &DecisionLimits::default())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn link(name: &str, image_pull: bool, mount: bool) -> AccountLink {
    AccountLink {
        name: name.into(),
        image_pull,
        mount,
    }
}

#[test]
fn the_default_decision_of_a_good_resource_is_valid() {
    assert_eq!(
        check(&default_decision(&request())).unwrap().into_inner(),
        decision()
    );
}

#[test]
fn a_secret_name_has_to_be_a_subdomain() {
    for name in ["a", "a-b.c", "0", &"a".repeat(253), "ecr.team-a.example"] {
        check(&Decision {
            secret_name: name.into(),
            ..decision()
        })
        .unwrap();
    }
    for name in [
        "A",
        "a_b",
        "other-namespace/ecr",
        "../ecr",
        "-a",
        "a-",
        "a..b",
        ".a",
        "a.",
        "ä",
        "a\n",
        " ",
        "a\0",
        &"a".repeat(254),
        "a.-b",
    ] {
        let error = check(&Decision {
            secret_name: name.into(),
            ..decision()
        })
        .unwrap_err();
        assert!(error.field.starts_with("secret_name \""), "{error}");
        assert!(
            !error.to_string().contains('\n') && error.to_string().len() < 400,
            "{error}"
        );
    }
}

#[test]
fn without_any_name_the_message_says_who_could_give_one() {
    let error = validate_decision(
        &Decision::default(),
        &Request::default(),
        &DecisionLimits::default(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "secret_name: must not be empty: set spec.generated_secret_name, or let a policy name the Secret"
    );
    assert_eq!(
        check(&Decision::default()).unwrap_err().rule,
        "must not be empty"
    );
}

#[test]
fn labels_follow_the_syntax_of_kubernetes() {
    let with = |key: &str, value: &str| {
        check(&Decision {
            labels: pairs(&[(key, value)]),
            ..decision()
        })
    };
    for (key, value) in [
        ("team", "a"),
        ("example.com/team", ""),
        ("A_b.c-d", "A_b.c-d"),
        ("app.kubernetes.io/part-of", "x"),
        ("a", &"v".repeat(63)),
        (&"k".repeat(63), ""),
    ] {
        with(key, value).unwrap();
    }
    for (key, value) in [
        ("", "a"),
        ("/a", "a"),
        ("a/", "a"),
        ("a/b/c", "a"),
        ("Example.com/a", "a"),
        ("-a", ""),
        ("a b", ""),
        (&"k".repeat(64), ""),
        ("é", ""),
        ("a", "b c"),
        ("a", "-"),
        ("a", &"v".repeat(64)),
        ("a", "b\n"),
    ] {
        with(key, value).unwrap_err();
    }
}

#[test]
fn nobody_but_the_host_sets_the_keys_that_clusters_obey() {
    for key in [
        "ecr.mobb.redhat.com/decision",
        "ecr.mobb.redhat.com/linked",
        "app.kubernetes.io/managed-by",
        "argocd.argoproj.io/secret-type",
        "kubernetes.io/service-account.name",
        "kubectl.kubernetes.io/last-applied-configuration",
        "node.k8s.io/x",
        "k8s.io/x",
    ] {
        for kind in [ResourceKind::Secret, ResourceKind::ArgoHelmRepoSecret] {
            let mut request = request();
            request.resource.kind = kind;
            for decision in [
                Decision {
                    labels: pairs(&[(key, "x")]),
                    ..decision()
                },
                Decision {
                    annotations: pairs(&[(key, "x")]),
                    ..decision()
                },
            ] {
                let error =
                    validate_decision(&decision, &request, &DecisionLimits::default()).unwrap_err();
                assert!(error.field.contains(key), "{error}");
            }
        }
    }
    check(&Decision {
        annotations: pairs(&[
            ("notkubernetes.io/x", "y"),
            ("myk8s.io/x", "any text\nat all"),
        ]),
        ..decision()
    })
    .unwrap();
}

#[test]
fn every_list_has_a_limit_that_can_be_kept_and_be_broken() {
    let limits = DecisionLimits {
        labels: 2,
        annotation_bytes: 10,
        accounts: 2,
        decision_bytes: 300,
    };
    let check = |decision: &Decision| validate_decision(decision, &request(), &limits);
    let labels = |n: usize| Decision {
        labels: (0..n).map(|i| (format!("k{i}"), String::new())).collect(),
        ..decision()
    };
    check(&labels(2)).unwrap();
    assert_eq!(
        check(&labels(3)).unwrap_err().to_string(),
        "labels: must be at most 2, but are 3"
    );
    let annotations = |n: usize| Decision {
        annotations: vec![("k".into(), "v".repeat(n))],
        ..decision()
    };
    check(&annotations(9)).unwrap();
    assert_eq!(check(&annotations(10)).unwrap_err().field, "annotations");
    let accounts = |n: usize, length: usize| Decision {
        service_accounts: (0..n)
            .map(|i| link(&format!("{}{i}", "a".repeat(length)), true, false))
            .collect(),
        ..decision()
    };
    check(&accounts(2, 3)).unwrap();
    assert_eq!(
        check(&accounts(3, 3)).unwrap_err().field,
        "service_accounts"
    );
    assert_eq!(check(&accounts(2, 200)).unwrap_err().field, "decision");
}

#[test]
fn the_default_limits_leave_the_annotations_of_a_secret_below_what_kubernetes_takes() {
    let limits = DecisionLimits::default();
    assert!(limits.annotation_bytes + limits.decision_bytes + 8 * 1024 < 256 * 1024);
}

#[test]
fn duplicates_are_merged_when_they_agree_and_refused_when_they_do_not() {
    let twice = Decision {
        labels: pairs(&[("b", "1"), ("a", "2"), ("b", "1")]),
        ..decision()
    };
    assert_eq!(
        check(&twice).unwrap().get().labels,
        pairs(&[("a", "2"), ("b", "1")])
    );
    let torn = Decision {
        annotations: pairs(&[("b", "1"), ("b", "2")]),
        ..decision()
    };
    assert!(check(&torn).unwrap_err().rule.contains("twice"));
    let accounts = Decision {
        service_accounts: vec![
            link("b", true, false),
            link("a", false, true),
            link("b", false, true),
        ],
        ..decision()
    };
    assert_eq!(
        check(&accounts).unwrap().get().service_accounts,
        [link("a", false, true), link("b", true, true)]
    );
}

#[test]
fn an_account_needs_a_good_name_and_a_use_but_need_not_exist() {
    let with = |link: AccountLink| {
        check(&Decision {
            service_accounts: vec![link],
            ..decision()
        })
    };
    with(link("not-there-yet", true, false)).unwrap();
    assert!(
        with(link("default", false, false))
            .unwrap_err()
            .rule
            .contains("use")
    );
    for name in ["", "other/default", "Default", "a b"] {
        with(link(name, true, true)).unwrap_err();
    }
}

#[test]
fn a_decision_of_a_million_labels_is_refused_with_one_short_line() {
    let labels = (0..1_000_000)
        .map(|i| (format!("k{i}"), String::new()))
        .collect();
    let error = check(&Decision {
        labels,
        ..decision()
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "labels: must be at most 64, but are 1000000"
    );
}

fn any_decision() -> impl Strategy<Value = Decision> {
    let text = || {
        prop_oneof![
            "\\PC{0,20}",
            "[a-zA-Z0-9./_-]{0,12}",
            "[a-z]{1,6}",
            any::<String>()
        ]
    };
    let pairs = || vec((text(), text()), 0..5);
    let links = vec((text(), any::<bool>(), any::<bool>()), 0..5);
    let refresh = prop_oneof![
        Just(Refresh::HostDefault),
        any::<u64>().prop_map(Refresh::At),
        any::<u64>().prop_map(Refresh::BeforeExpiry)
    ];
    (text(), pairs(), pairs(), links, refresh).prop_map(
        |(secret_name, labels, annotations, links, refresh)| Decision {
            secret_name,
            labels,
            annotations,
            service_accounts: links
                .into_iter()
                .map(|(name, image_pull, mount)| link(&name, image_pull, mount))
                .collect(),
            refresh,
        },
    )
}

proptest! {
    #[test]
    fn no_decision_makes_it_panic_and_every_refusal_is_one_line(decision in any_decision()) {
        match check(&decision) {
            Ok(valid) => {
                prop_assert_eq!(valid.get().refresh, decision.refresh);
                let again = check(valid.get());
                prop_assert_eq!(again.as_ref(), Ok(&valid), "checking twice changes nothing");
            }
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }

    #[test]
    fn the_order_in_a_decision_means_nothing(names in vec("[a-z]{1,3}", 1..6)) {
        let links = |names: &[String]| Decision { service_accounts: names.iter().map(|name| link(name, true, false)).collect(), ..decision() };
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        prop_assert_eq!(check(&links(&names)).unwrap(), check(&links(&reversed)).unwrap());
    }
}
