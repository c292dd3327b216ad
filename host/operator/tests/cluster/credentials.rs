//! The operator's AWS identity comes from files that change while it runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_double::{Action, DEFAULT_ACCESS_KEY_ID, DEFAULT_IDENTITY_ARN, Role};
use ecr_secret_core::api::Status;
use ecr_secret_core::manifests::WORKLOAD_NAME;

use crate::support::{Stage, eventually, spec, token};

/// Credentials files are looked at every ten seconds.
const NOTICED: Duration = Duration::from_secs(30);

/// A directory as kubelet mounts a Secret: files are links through `..data`, which is exchanged as a whole.
struct Mounted(PathBuf);

impl Mounted {
    fn new(stage: &Stage) -> Self {
        let directory = PathBuf::from(stage.file("marker", "")).with_file_name("aws");
        fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    fn path(&self) -> String {
        self.0.join("credentials").to_str().unwrap().to_owned()
    }

    fn exchange(&self, version: &str, text: &str) {
        let data = self.0.join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("credentials"), text).unwrap();
        symlink(version, self.0.join("..new")).unwrap();
        fs::rename(self.0.join("..new"), self.0.join("..data")).unwrap();
        if !self.0.join("credentials").is_symlink() {
            symlink(Path::new("..data/credentials"), self.0.join("credentials")).unwrap();
        }
    }
}

/// Takes the access key out of the operator's environment, and names the mounted file.
fn use_file(stage: &mut Stage, file: &Mounted) {
    stage
        .setup
        .environment
        .retain(|(name, _)| !name.starts_with("AWS_ACCESS") && !name.starts_with("AWS_SECRET"));
    stage
        .setup
        .environment
        .push(("AWS_CONFIG_FILE".to_owned(), file.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_come_and_change_on_disk_are_noticed_without_a_restart() {
    const USER: &str = "arn:aws:iam::123456789012:user/rotated";
    let mut stage = Stage::prepare().await;
    let file = Mounted::new(&stage);
    use_file(&mut stage, &file);
    let mut operator = stage.start().await;
    stage.create("a", spec("a")).await;
    let status = stage.ready("a", "CredentialsMissing").await;
    assert!(
        status
            .condition("Ready")
            .unwrap()
            .message
            .contains("aws-ecr-cloud-credentials")
    );

    // Quoted, as people write it.
    let keys = |id: &str| {
        format!(
            "[default]\naws_access_key_id=\"{id}\"\naws_secret_access_key = \"secret/of+{id}\"\n"
        )
    };
    file.exchange("..1", &keys(DEFAULT_ACCESS_KEY_ID));
    stage.ready_within(NOTICED, "a", "Refreshed").await;
    let first = stage.secret("a").await;
    assert_eq!(token(&first).identity, DEFAULT_IDENTITY_ARN);

    stage.aws.add_static_identity("AKIAROTATED", USER);
    file.exchange("..2", &keys("AKIAROTATED"));
    stage.aws.remove_static_identity(DEFAULT_ACCESS_KEY_ID);
    eventually(NOTICED, "the operator notices", || async {
        operator.log().contains("access key …ATED").then_some(())
    })
    .await;
    assert_eq!(
        stage.secret("a").await.data,
        first.data,
        "a good token is kept"
    );
    stage.request_refresh("a", "1").await;
    stage
        .status("a", "handled", |status| {
            status.handled_refresh_request.is_some()
        })
        .await;
    assert_eq!(token(&stage.secret("a").await).identity, USER);

    file.exchange(
        "..3",
        "[default]\nmax_attempts = 0\naws_access_key_id = AKIAROTATED\naws_secret_access_key = x\n",
    );
    eventually(NOTICED, "the operator notices", || async {
        operator.log().contains("max_attempts").then_some(())
    })
    .await;
    assert!(
        operator.is_running().unwrap(),
        "values that other tools die of are told"
    );
    let log = operator.log();
    assert!(
        !log.contains("secret/of+") && !log.contains("AKIAROTATED"),
        "credentials in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn web_identity_with_a_token_of_the_operators_service_account_works() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/ecr";
    let mut stage = Stage::prepare().await;
    let subject = format!("system:serviceaccount:{}:{WORKLOAD_NAME}", stage.namespace);
    stage
        .aws
        .add_role(Role::new(ROLE).trust_web_identity("openshift", &subject));
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
    let file = Mounted::new(&stage);
    // No region in the file: the one of the resource is used.
    file.exchange(
        "..1",
        &format!("[default]\nrole_arn = {ROLE}\nweb_identity_token_file = {token_file}\n"),
    );
    use_file(&mut stage, &file);
    let _operator = stage.start().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let issued = token(&stage.secret("a").await);
    assert!(issued.identity.contains("assumed-role/ecr"), "{issued:?}");
    assert_eq!(
        stage
            .aws
            .counts()
            .answered(Action::AssumeRoleWithWebIdentity),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_that_the_role_does_not_trust_is_told_with_the_role() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/others";
    let mut stage = Stage::prepare().await;
    stage.aws.add_role(
        Role::new(ROLE).trust_web_identity("openshift", "system:serviceaccount:elsewhere:somebody"),
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
    let file = Mounted::new(&stage);
    file.exchange(
        "..1",
        &format!("[default]\nrole_arn = {ROLE}\nweb_identity_token_file = {token_file}\n"),
    );
    use_file(&mut stage, &file);
    let operator = stage.start().await;
    stage.create("a", spec("a")).await;
    let wanted = |status: &Status| {
        status
            .condition("Ready")
            .is_some_and(|ready| ready.message.contains(ROLE))
    };
    let status = stage.status("a", "the role is told", wanted).await;
    let ready = status.condition("Ready").unwrap();
    assert!(
        ["AccessDenied", "CredentialsInvalid"].contains(&ready.reason.as_str()),
        "{ready:?}"
    );
    assert!(
        !ready.message.contains(&jwt) && !operator.log().contains(&jwt),
        "the token is told"
    );
}
