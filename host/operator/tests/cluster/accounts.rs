//! Service accounts name what they shall, and nothing of a user's is ever lost.

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{SOON, Stage, eventually, lists, spec};

/// The spec of the samples with links.
fn linked_spec(generated: &str, accounts: Value) -> Value {
    let mut spec = spec(generated);
    spec["service_accounts"] = accounts;
    spec
}

/// An account with a user's own links.
async fn create_account_with_links(stage: &Stage, name: &str) {
    let object = json!({
        "metadata": { "name": name, "annotations": { "example.com/note": "mine" } },
        "imagePullSecrets": [{ "name": "mine-1" }, { "name": "mine-2" }],
        "secrets": [{ "name": "mine-3" }],
    });
    stage
        .accounts()
        .create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
}

async fn patch_account(
    stage: &Stage,
    name: &str,
    operations: Value,
) -> kube::Result<ServiceAccount> {
    let patch: Patch<ServiceAccount> = Patch::Json(serde_json::from_value(operations).unwrap());
    stage
        .accounts()
        .patch(name, &PatchParams::default(), &patch)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_linked_as_the_spec_says_and_unlinked_when_it_does_not_say_so_any_more() {
    let (stage, _operator) = Stage::with_operator().await;
    for name in ["builder", "puller", "both"] {
        stage.create_account(name, &[]).await;
    }
    let accounts = json!([{ "name": "builder", "use": ["Mount"] }, { "name": "puller" }, { "name": "both", "use": ["ImagePull", "Mount"] }]);
    stage.create("a", linked_spec("a", accounts)).await;
    stage.linked("builder", &[], &["a"]).await;
    stage.linked("puller", &["a"], &[]).await;
    stage.linked("both", &["a"], &["a"]).await;
    let status = stage
        .status("a", "Linked is True", |status| {
            status
                .condition("Linked")
                .is_some_and(|linked| linked.reason == "Linked")
        })
        .await;
    let told: Vec<&str> = status
        .service_accounts
        .iter()
        .map(|account| account.name.as_str())
        .collect();
    assert_eq!(told, ["both", "builder", "puller"]);

    let accounts =
        json!([{ "name": "builder", "use": ["ImagePull"] }, { "name": "both", "use": ["Mount"] }]);
    stage
        .change("a", json!({ "spec": { "service_accounts": accounts } }))
        .await;
    stage.linked("builder", &["a"], &[]).await;
    stage.linked("puller", &[], &[]).await;
    stage.linked("both", &[], &["a"]).await;
    let status = stage
        .change_to(
            "a",
            json!({ "spec": { "service_accounts": null } }),
            "Refreshed",
        )
        .await;
    for name in ["builder", "puller", "both"] {
        stage.linked(name, &[], &[]).await;
        let annotations = stage
            .accounts()
            .get(name)
            .await
            .unwrap()
            .metadata
            .annotations
            .unwrap_or_default();
        assert!(
            annotations.is_empty(),
            "{name} keeps nothing of ours: {annotations:?}"
        );
    }
    assert!(status.condition("Linked").is_none() && status.service_accounts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_links_and_annotations_keep_their_place() {
    let (stage, _operator) = Stage::with_operator().await;
    create_account_with_links(&stage, "mine").await;
    stage
        .create(
            "a",
            linked_spec(
                "a",
                json!([{ "name": "mine", "use": ["ImagePull", "Mount"] }]),
            ),
        )
        .await;
    stage
        .linked("mine", &["mine-1", "mine-2", "a"], &["mine-3", "a"])
        .await;
    // The user adds one behind ours, and takes one before it away.
    let change = json!([{ "op": "add", "path": "/imagePullSecrets/-", "value": { "name": "mine-4" } }, { "op": "remove", "path": "/imagePullSecrets/0" }]);
    patch_account(&stage, "mine", change).await.unwrap();
    stage
        .linked("mine", &["mine-2", "a", "mine-4"], &["mine-3", "a"])
        .await;
    stage
        .change("a", json!({ "spec": { "service_accounts": [] } }))
        .await;
    stage
        .linked("mine", &["mine-2", "mine-4"], &["mine-3"])
        .await;
    let annotations = stage
        .accounts()
        .get("mine")
        .await
        .unwrap()
        .metadata
        .annotations
        .unwrap();
    assert_eq!(
        annotations.into_iter().collect::<Vec<_>>(),
        [("example.com/note".to_owned(), "mine".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_a_user_made_to_our_secret_stays_when_ours_goes() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create_account("builder", &[]).await;
    patch_account(
        &stage,
        "builder",
        json!([{ "op": "add", "path": "/imagePullSecrets", "value": [{ "name": "a" }] }]),
    )
    .await
    .unwrap();
    stage
        .create(
            "a",
            linked_spec(
                "a",
                json!([{ "name": "builder", "use": ["ImagePull", "Mount"] }]),
            ),
        )
        .await;
    stage.linked("builder", &["a"], &["a"]).await;
    stage
        .change("a", json!({ "spec": { "service_accounts": null } }))
        .await;
    stage.linked("builder", &["a"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_resources_share_an_account_and_each_takes_only_its_own_link_away() {
    let (stage, _operator) = Stage::with_operator().await;
    create_account_with_links(&stage, "shared").await;
    let accounts = || json!([{ "name": "shared", "use": ["ImagePull", "Mount"] }]);
    stage.create("a", linked_spec("a", accounts())).await;
    stage.create("b", linked_spec("b", accounts())).await;
    let api = stage.accounts();
    eventually(SOON, "both are linked", || async {
        let (mut pull, mut mount) =
            lists(&api.get("shared").await.map_err(|error| error.to_string())?);
        pull.sort();
        mount.sort();
        if pull == ["a", "b", "mine-1", "mine-2"] && mount == ["a", "b", "mine-3"] {
            Ok(())
        } else {
            Err(format!("{pull:?} {mount:?}"))
        }
    })
    .await;
    stage
        .change("a", json!({ "spec": { "service_accounts": [] } }))
        .await;
    stage
        .linked("shared", &["mine-1", "mine-2", "b"], &["mine-3", "b"])
        .await;
    stage
        .resources()
        .delete("b", &DeleteParams::default())
        .await
        .unwrap();
    stage
        .linked("shared", &["mine-1", "mine-2"], &["mine-3"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_account_is_told_and_linked_when_it_appears_again_and_again() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create_account("here", &[]).await;
    stage
        .create(
            "a",
            linked_spec("a", json!([{ "name": "here" }, { "name": "later" }])),
        )
        .await;
    for _ in 0..2 {
        let missing = stage
            .status("a", "an account is missing", |status| {
                status
                    .condition("Linked")
                    .is_some_and(|linked| linked.reason == "ServiceAccountMissing")
            })
            .await;
        let linked = missing.condition("Linked").unwrap();
        assert_eq!(linked.status.as_str(), "False");
        assert!(
            linked.message.contains("later") && !linked.message.contains("here"),
            "{}",
            linked.message
        );
        assert_eq!(
            missing.condition("Ready").unwrap().reason,
            "Refreshed",
            "the Secret itself is good"
        );
        assert_eq!(
            missing
                .service_accounts
                .iter()
                .map(|account| account.name.as_str())
                .collect::<Vec<_>>(),
            ["here"]
        );
        stage.linked("here", &["a"], &[]).await;

        stage.create_account("later", &[]).await;
        stage.linked("later", &["a"], &[]).await;
        stage
            .status("a", "all is linked", |status| {
                status
                    .condition("Linked")
                    .is_some_and(|linked| linked.reason == "Linked")
            })
            .await;
        stage
            .accounts()
            .delete("later", &DeleteParams::default())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_of_a_deleted_resource_go_with_it_even_if_nobody_saw_it_go() {
    let stage = Stage::prepare().await;
    let mut operator = stage.start().await;
    create_account_with_links(&stage, "mine").await;
    let accounts = || json!([{ "name": "mine", "use": ["ImagePull", "Mount"] }]);
    stage.create("seen", linked_spec("seen", accounts())).await;
    stage
        .linked("mine", &["mine-1", "mine-2", "seen"], &["mine-3", "seen"])
        .await;
    stage
        .resources()
        .delete("seen", &DeleteParams::default())
        .await
        .unwrap();
    stage
        .linked("mine", &["mine-1", "mine-2"], &["mine-3"])
        .await;

    stage
        .create("unseen", linked_spec("unseen", accounts()))
        .await;
    stage
        .create("stays", linked_spec("stays", json!([{ "name": "mine" }])))
        .await;
    stage.ready("unseen", "Refreshed").await;
    stage.ready("stays", "Refreshed").await;
    operator.terminate(SOON).await.unwrap();
    stage
        .resources()
        .delete("unseen", &DeleteParams::default())
        .await
        .unwrap();
    let mounted = lists(&stage.accounts().get("mine").await.unwrap()).1;
    assert_eq!(
        mounted,
        ["mine-3", "unseen"],
        "nobody was there to unlink it"
    );
    let _operator = stage.start().await;
    stage
        .linked("mine", &["mine-1", "mine-2", "stays"], &["mine-3"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_somebody_removes_is_restored() {
    let (stage, _operator) = Stage::with_operator().await;
    create_account_with_links(&stage, "mine").await;
    stage
        .create(
            "a",
            linked_spec(
                "a",
                json!([{ "name": "mine", "use": ["ImagePull", "Mount"] }]),
            ),
        )
        .await;
    stage
        .linked("mine", &["mine-1", "mine-2", "a"], &["mine-3", "a"])
        .await;

    patch_account(
        &stage,
        "mine",
        json!([{ "op": "remove", "path": "/imagePullSecrets/2" }]),
    )
    .await
    .unwrap();
    stage
        .linked("mine", &["mine-1", "mine-2", "a"], &["mine-3", "a"])
        .await;
    // As `kubectl replace` with an old manifest does: our annotation goes too.
    let mut account = stage.accounts().get("mine").await.unwrap();
    (
        account.metadata.annotations,
        account.image_pull_secrets,
        account.secrets,
    ) = (None, None, None);
    stage
        .accounts()
        .replace("mine", &PostParams::default(), &account)
        .await
        .unwrap();
    stage.linked("mine", &["a"], &["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_is_lost_when_users_and_the_operator_write_at_the_same_time() {
    let (stage, _operator) = Stage::with_operator().await;
    create_account_with_links(&stage, "busy").await;
    let ours: Vec<String> = (0..4).map(|number| format!("ours-{number}")).collect();
    let theirs: Vec<String> = (0..20).map(|number| format!("theirs-{number}")).collect();
    let create = async {
        for name in &ours {
            stage
                .create(name, linked_spec(name, json!([{ "name": "busy" }])))
                .await;
        }
    };
    let write = async {
        for name in &theirs {
            patch_account(
                &stage,
                "busy",
                json!([{ "op": "add", "path": "/imagePullSecrets/-", "value": { "name": name } }]),
            )
            .await
            .unwrap();
        }
    };
    tokio::join!(create, write);
    let mut wanted: Vec<String> = ours
        .into_iter()
        .chain(theirs)
        .chain(["mine-1", "mine-2"].map(str::to_owned))
        .collect();
    wanted.sort();
    let api = stage.accounts();
    eventually(SOON, "every link is there once", || async {
        let mut pull = lists(&api.get("busy").await.map_err(|error| error.to_string())?).0;
        pull.sort();
        if pull == wanted {
            Ok(())
        } else {
            Err(format!("{pull:?}"))
        }
    })
    .await;
}
