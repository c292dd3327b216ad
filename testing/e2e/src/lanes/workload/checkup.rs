//! What an administrator asks when the operator is installed: is it well, and who may use it.

use super::user::User;
use super::{IS_IT_WELL, tenant};
use crate::objects;
use anyhow::ensure;
use aws_double::DEFAULT_IDENTITY_ARN;

const TEAM: &str = "a-team";

/// The documented questions, asked of the operator in its pod.
pub(super) async fn is_well(user: &User<'_>) {
    let sentence = "doctor, run in the operator's pod as documented, says who AWS says that it is and that it gets tokens; \
                    so does kubectl ecr doctor";
    user.prove(sentence, async {
        let told = user.follow(IS_IT_WELL).await?;
        let lines: Vec<&str> = told
            .lines()
            .filter(|line| line.starts_with("ok "))
            .collect();
        ensure!(
            lines.len() == 2
                && lines[0].contains(DEFAULT_IDENTITY_ARN)
                && lines[1].contains("gives a token until"),
            "it said: {told}"
        );
        let told = user.sh("kubectl ecr doctor").await?;
        let aws = told.lines().find(|line| line.contains("AWS"));
        ensure!(
            aws.is_some_and(|line| line.starts_with("ok ") && line.contains(DEFAULT_IDENTITY_ARN)),
            "it said: {told}"
        );
        Ok(())
    })
    .await;
}

/// Users with roles of Kubernetes in a namespace of theirs.
pub(super) async fn who_may_use_it(user: &User<'_>) {
    let sentence = "who has the role edit in a namespace may create our resources there and not elsewhere, and who has view \
                    may read them only";
    user.prove(sentence, async {
        objects::restricted_namespace(&user.client(), TEAM).await?;
        user.sh(&format!(
            "kubectl -n {TEAM} create rolebinding edit --clusterrole edit --user editor\n\
             kubectl -n {TEAM} create rolebinding view --clusterrole view --user viewer"
        ))
        .await?;
        for resource in [
            "secrets.ecr.mobb.redhat.com",
            "argohelmreposecrets.ecr.mobb.redhat.com",
        ] {
            for (who, verb, namespace, expected) in [
                ("editor", "create", TEAM, "yes"),
                ("editor", "get", TEAM, "yes"),
                ("editor", "create", tenant::NAMESPACE, "no"),
                ("viewer", "list", TEAM, "yes"),
                ("viewer", "create", TEAM, "no"),
                ("viewer", "delete", TEAM, "no"),
                ("nobody", "list", TEAM, "no"),
            ] {
                let question = format!("auth can-i {verb} {resource} --as {who}");
                let told = user
                    .sh(&format!("kubectl -n {namespace} {question} || true"))
                    .await?;
                ensure!(told.trim() == expected, "{question} in {namespace}: {told}");
            }
        }
        objects::delete_namespace(&user.client(), TEAM).await
    })
    .await;
}
