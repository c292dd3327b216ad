//! The log is for machines and people, and for no thief.

use std::time::Duration;

use aws_double::{Fault, FaultRule, Role};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::manifests::WORKLOAD_NAME;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{REGISTRY, SOON, Stage, eventually, password, spec, text};

/// The promise of a graceful end.
const GRACE: Duration = Duration::from_secs(10);
#[tokio::test(flavor = "multi_thread")]
async fn the_most_talkative_log_is_json_and_holds_no_secret() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/ecr";
    let mut stage = Stage::prepare().await;
    stage.aws.add_role(
        Role::new(ROLE)
            .trust_web_identity("openshift", "*")
            .trust_principal("*"),
    );
    let jwt = stage
        .cluster
        .service_account_token(
            &stage.namespace,
            WORKLOAD_NAME,
            &["openshift"],
            Duration::from_hours(1),
        )
        .await
        .unwrap();
    let token_file = stage.file("token", &jwt);
    let profile = stage.file(
        "config",
        &format!("[default]\nrole_arn = {ROLE}\nweb_identity_token_file = {token_file}\n"),
    );
    stage
        .setup
        .environment
        .retain(|(name, _)| !name.starts_with("AWS_ACCESS") && !name.starts_with("AWS_SECRET"));
    stage.setup.environment.extend([
        ("AWS_CONFIG_FILE".to_owned(), profile),
        ("LOG_LEVEL".to_owned(), "trace".to_owned()),
    ]);
    let mut operator = stage.start().await;

    stage.create_account("builder", &[]).await;
    let mut wanted = spec("a");
    wanted["service_accounts"] = json!([{ "name": "builder", "use": ["Mount"] }]);
    stage.create("a", wanted).await;
    let argo = json!({
        "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "ArgoHelmRepoSecret", "metadata": { "name": "charts" },
        "spec": { "generated_secret_name": "charts", "url": REGISTRY, "frequency": "10h", "region": "us-east-2" },
    });
    stage
        .argo_resources()
        .create(
            &PostParams::default(),
            &serde_json::from_value(argo).unwrap(),
        )
        .await
        .unwrap();
    stage.ready("a", "Refreshed").await;
    let first = stage.secret("a").await;
    let charts = stage.secret("charts").await;
    for (number, fault) in [
        Fault::Garbage,
        Fault::Truncated,
        Fault::TokenWithoutColon,
        Fault::TokenNotBase64,
        Fault::AlreadyExpired,
    ]
    .into_iter()
    .enumerate()
    {
        Stage::old_enough_for_a_refresh(&first).await;
        stage.aws.set_fault(FaultRule::from(fault).times(1));
        stage.request_refresh("a", &number.to_string()).await;
        stage
            .status("a", "refreshed after all", |status| {
                status.handled_refresh_request.as_deref() == Some(&number.to_string())
            })
            .await;
    }
    let junk = json!({ "data": { ".dockerconfigjson": STANDARD.encode("{}") } });
    stage
        .secrets()
        .patch("a", &PatchParams::default(), &Patch::Merge(junk))
        .await
        .unwrap();
    eventually(SOON, "repaired", || async {
        stage
            .secrets()
            .get("a")
            .await
            .ok()
            .filter(|secret| text(secret, ".dockerconfigjson") != "{}")
    })
    .await;
    let last = stage.secret("a").await;
    operator.terminate(GRACE).await.unwrap();

    let log = operator.log();
    for line in log.lines() {
        assert!(
            serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
            "no JSON object: {line}"
        );
    }
    assert!(log.contains(r#""TRACE""#), "the level is obeyed");
    let bearer = std::fs::read_to_string(&stage.setup.kubeconfig).unwrap();
    let bearer: Value = serde_json::from_str(&bearer).unwrap();
    let bearer = bearer["users"][0]["user"]["token"].as_str().unwrap();
    let mut secrets = vec![jwt, bearer.to_owned(), text(&charts, "password")];
    for secret in [&first, &last] {
        secrets.extend([
            password(secret),
            STANDARD.encode(format!("AWS:{}", password(secret))),
            STANDARD.encode(text(secret, ".dockerconfigjson")),
        ]);
    }
    for secret in &secrets {
        // A part is as bad as the whole.
        assert!(
            !log.contains(&secret[..40]),
            "a secret is in the log: {}",
            line_with(&log, &secret[..40])
        );
    }
    // Whatever we do not know of, such as the keys of a session, is long and looks random.
    let suspicious = log
        .split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_".contains(c)))
        .find(|word| word.len() > 100);
    assert_eq!(
        suspicious,
        None,
        "in {}",
        line_with(&log, suspicious.unwrap_or_default())
    );
    for word in [
        "SecretAccessKey",
        "SessionToken",
        "x-amz-security-token",
        "Signature=",
    ] {
        assert!(!log.contains(word), "{}", line_with(&log, word));
    }
}

fn line_with<'a>(log: &'a str, part: &str) -> &'a str {
    let line = log
        .lines()
        .find(|line| line.contains(part))
        .unwrap_or_default();
    &line[..line.len().min(600)]
}
