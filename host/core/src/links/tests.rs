#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use AccountUse::{ImagePull, Mount};

fn account(value: Value) -> ServiceAccount {
    let mut account: ServiceAccount = serde_json::from_value(value).unwrap();
    account.metadata.resource_version = Some("7".into());
    account
}

fn links(links: &[(&str, &[AccountUse])]) -> Links {
    links
        .iter()
        .map(|(name, uses)| ((*name).to_owned(), uses.iter().copied().collect()))
        .collect()
}

/// Applies the patch as the API server would: to the stored form, which has no empty lists or maps.
fn apply(account: &ServiceAccount, operations: &[Value]) -> ServiceAccount {
    let mut stored = serde_json::to_value(account).unwrap();
    for path in ["/imagePullSecrets", "/secrets", "/metadata/annotations"] {
        let empty = stored.pointer(path).is_some_and(|value| {
            value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(serde_json::Map::is_empty)
        });
        if empty {
            let (parent, key) = path.rsplit_once('/').unwrap();
            stored
                .pointer_mut(parent)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove(key);
        }
    }
    let patch: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
    json_patch::patch(&mut stored, &patch).unwrap();
    serde_json::from_value(stored).unwrap()
}

fn names(account: &ServiceAccount, use_: AccountUse) -> Vec<String> {
    entries(account, use_)
        .into_iter()
        .filter_map(|entry| entry.name.map(str::to_owned))
        .collect()
}

#[test]
fn an_empty_service_account_gets_lists_and_a_ledger() {
    let bare = account(json!({ "metadata": { "name": "builder" } }));
    let patch = link_patch(&bare, &links(&[("ecr", &[ImagePull, Mount])])).unwrap();
    assert_eq!(
        patch,
        [
            json!({ "op": "test", "path": "/metadata/resourceVersion", "value": "7" }),
            json!({ "op": "add", "path": "/imagePullSecrets", "value": [{ "name": "ecr" }] }),
            json!({ "op": "add", "path": "/secrets", "value": [{ "name": "ecr" }] }),
            json!({ "op": "add", "path": "/metadata/annotations", "value": { "ecr.mobb.redhat.com/linked": r#"{"ecr":["ImagePull","Mount"]}"# } }),
        ]
    );
    let linked = apply(&bare, &patch);
    assert_eq!(
        link_patch(&linked, &links(&[("ecr", &[ImagePull, Mount])])),
        None
    );
    assert_eq!(
        ledger(&linked.metadata),
        links(&[("ecr", &[ImagePull, Mount])])
    );
}

#[test]
fn what_is_no_longer_wanted_goes_and_what_users_linked_stays() {
    let linked = account(json!({
        "metadata": { "annotations": { "note": "x", LINKED: r#"{"old":["ImagePull","Mount"]}"# } },
        "imagePullSecrets": [{ "name": "dockercfg" }, { "name": "old" }, { "name": "mine" }],
        "secrets": [{ "name": "old" }, { "name": "dockercfg" }],
    }));
    let patch = link_patch(&linked, &links(&[("new", &[ImagePull])])).unwrap();
    let after = apply(&linked, &patch);
    assert_eq!(names(&after, ImagePull), ["dockercfg", "mine", "new"]);
    assert_eq!(names(&after, Mount), ["dockercfg"]);
    assert_eq!(after.metadata.annotations.as_ref().unwrap()["note"], "x");
    assert_eq!(ledger(&after.metadata), links(&[("new", &[ImagePull])]));

    let cleared = apply(&after, &link_patch(&after, &Links::new()).unwrap());
    assert_eq!(names(&cleared, ImagePull), ["dockercfg", "mine"]);
    assert!(!cleared.metadata.annotations.unwrap().contains_key(LINKED));
}

#[test]
fn a_link_made_by_hand_is_neither_claimed_nor_removed() {
    let by_hand = account(json!({ "imagePullSecrets": [{ "name": "ecr" }] }));
    assert_eq!(link_patch(&by_hand, &links(&[("ecr", &[ImagePull])])), None);
    assert_eq!(link_patch(&by_hand, &Links::new()), None);
    let both = apply(
        &by_hand,
        &link_patch(&by_hand, &links(&[("ecr", &[ImagePull, Mount])])).unwrap(),
    );
    assert_eq!(ledger(&both.metadata), links(&[("ecr", &[Mount])]));
    let cleared = apply(&both, &link_patch(&both, &Links::new()).unwrap());
    assert_eq!(names(&cleared, ImagePull), ["ecr"]);
    assert_eq!(names(&cleared, Mount), Vec::<String>::new());
}

#[test]
fn a_link_of_ours_that_somebody_removed_comes_back() {
    let broken =
        account(json!({ "metadata": { "annotations": { LINKED: r#"{"ecr":["ImagePull"]}"# } } }));
    let after = apply(
        &broken,
        &link_patch(&broken, &links(&[("ecr", &[ImagePull])])).unwrap(),
    );
    assert_eq!(names(&after, ImagePull), ["ecr"]);
    let forgotten = apply(&broken, &link_patch(&broken, &Links::new()).unwrap());
    assert_eq!(ledger(&forgotten.metadata), Links::new());
}

#[test]
fn an_entry_that_somebody_made_more_of_is_theirs() {
    let changed = account(json!({
        "metadata": { "annotations": { LINKED: r#"{"ecr":["Mount"]}"# } },
        "secrets": [{ "name": "ecr", "namespace": "team" }],
    }));
    let after = apply(&changed, &link_patch(&changed, &Links::new()).unwrap());
    assert_eq!(names(&after, Mount), ["ecr"]);
    assert!(
        after
            .metadata
            .annotations
            .is_none_or(|annotations| annotations.is_empty())
    );
}

#[test]
fn a_garbled_ledger_claims_nothing() {
    for garbage in ["", "null", "[]", "{", r#"{"ecr":["Eat"]}"#, r#"{"ecr":1}"#] {
        let garbled = account(
            json!({ "metadata": { "annotations": { LINKED: garbage } }, "imagePullSecrets": [{ "name": "ecr" }] }),
        );
        let after = apply(&garbled, &link_patch(&garbled, &Links::new()).unwrap());
        assert_eq!(names(&after, ImagePull), ["ecr"], "{garbage}");
        assert_eq!(
            link_patch(&after, &Links::new()),
            None,
            "the garbage is gone"
        );
    }
}

#[test]
fn the_patch_fails_when_the_service_account_has_changed() {
    let read = account(json!({ "metadata": { "name": "builder" } }));
    let patch = link_patch(&read, &links(&[("ecr", &[ImagePull])])).unwrap();
    let mut stored = serde_json::to_value(&read).unwrap();
    stored["metadata"]["resourceVersion"] = json!("8");
    let patch: json_patch::Patch = serde_json::from_value(json!(patch)).unwrap();
    json_patch::patch(&mut stored, &patch).unwrap_err();
    assert_eq!(stored.get("imagePullSecrets"), None);
}

#[test]
fn keys_are_escaped_in_pointers() {
    assert_eq!(escape("a/b~c"), "a~1b~0c");
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "dockercfg-x"];

fn any_uses() -> impl Strategy<Value = BTreeSet<AccountUse>> {
    btree_set(select(&USES[..]), 1..=2)
}

fn any_links() -> impl Strategy<Value = Links> {
    btree_map(select(&NAMES[..]).prop_map(str::to_owned), any_uses(), 0..4)
}

fn any_account() -> impl Strategy<Value = ServiceAccount> {
    let list = || vec(select(&NAMES[..]), 0..5);
    let annotation = proptest::option::of(prop_oneof![
        any_links().prop_map(|links| serde_json::to_string(&links).unwrap()),
        "\\PC{0,9}"
    ]);
    (list(), list(), annotation, any::<bool>()).prop_map(|(pull, mount, annotation, note)| {
        let objects = |names: Vec<&str>| names.into_iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
        let mut annotations = serde_json::Map::new();
        annotations.extend(annotation.map(|text| (LINKED.to_owned(), json!(text))));
        annotations.extend(note.then(|| ("note".to_owned(), json!("x"))));
        account(json!({ "metadata": { "annotations": annotations }, "imagePullSecrets": objects(pull), "secrets": objects(mount) }))
    })
}

proptest! {
    #[test]
    fn the_patch_leads_to_the_desired_state_and_then_rests(before in any_account(), desired in any_links()) {
        let after = link_patch(&before, &desired).map_or_else(|| before.clone(), |patch| apply(&before, &patch));
        prop_assert_eq!(link_patch(&after, &desired), None, "idempotent");
        for use_ in USES {
            let (old, new) = (names(&before, use_), names(&after, use_));
            let wanted: Vec<&String> = desired.iter().filter(|(_, uses)| uses.contains(&use_)).map(|(name, _)| name).collect();
            prop_assert!(wanted.iter().all(|name| new.contains(name)), "everything wanted is linked");

            let claimed = |name: &String| ledger(&before.metadata).get(name).is_some_and(|uses| uses.contains(&use_));
            let foreign = |names: &[String]| names.iter().filter(|name| !claimed(name) && !wanted.contains(name)).cloned().collect::<Vec<_>>();
            prop_assert_eq!(foreign(&new), foreign(&old), "what is not ours stays, in its order");
            let kept: Vec<&String> = new.iter().take(old.len()).filter(|name| old.contains(name)).collect();
            let mut rest = old.iter();
            prop_assert!(kept.iter().all(|name| rest.any(|old| old == *name)), "nothing is reordered");

            for name in ledger(&after.metadata).iter().filter(|(_, uses)| uses.contains(&use_)).map(|(name, _)| name) {
                prop_assert!(wanted.contains(&name), "the ledger holds only what is wanted");
                prop_assert!(claimed(name) || !old.contains(name), "the ledger never claims a link made by hand");
            }
        }
        let note = |account: &ServiceAccount| account.metadata.annotations.as_ref().and_then(|annotations| annotations.get("note").cloned());
        prop_assert_eq!(note(&after), note(&before));
    }

    #[test]
    fn linking_and_unlinking_leaves_no_trace(before in any_account(), desired in any_links()) {
        let mut before = before;
        before.metadata.annotations.as_mut().unwrap().remove(LINKED);
        let linked = link_patch(&before, &desired).map_or_else(|| before.clone(), |patch| apply(&before, &patch));
        let unlinked = link_patch(&linked, &Links::new()).map_or_else(|| linked.clone(), |patch| apply(&linked, &patch));
        for use_ in USES {
            prop_assert_eq!(names(&unlinked, use_), names(&before, use_));
        }
        prop_assert_eq!(ledger(&unlinked.metadata), Links::new());
    }
}
