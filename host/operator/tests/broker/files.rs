//! Credentials in files: the forms that occur, the ones that cannot work, and their replacement.

use std::time::Duration;

use aws_double::{DEFAULT_ACCESS_KEY_ID, DEFAULT_IDENTITY_ARN, DEFAULT_SECRET_ACCESS_KEY, Fault};
use ecr_secret_core::reason::Reason;
use ecr_secret_operator::aws::{Broker, Freshness};

use crate::support::{REGION, World, ask, ask_for, identity, key, wait_until};

const SECOND_ID: &str = "AKIASECONDEXAMPLE000";
const SECOND_ARN: &str = "arn:aws:iam::210987654321:user/second";

fn file_of(id: &str) -> String {
    format!("[default]\naws_access_key_id={id}\naws_secret_access_key=x/y+z==\n")
}

#[tokio::test]
async fn static_keys_work_in_every_form_that_is_found_in_the_field() {
    let (id, secret) = (DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY);
    let world = World::new().await;
    for content in [
        format!("[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\n"),
        format!("[default]\naws_access_key_id=\"{id}\"\naws_secret_access_key=\"{secret}\""),
        format!("[default]\naws_access_key_id = '{id}'\naws_secret_access_key = '{secret}'\n"),
        format!(
            "\n  \n# made by a script\n[default]\n  aws_access_key_id = {id}\n  aws_secret_access_key = {secret}\n"
        ),
        format!("[default]\r\naws_access_key_id={id}\r\naws_secret_access_key={secret}\r\n"),
        format!(
            "[profile default]\nAWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret} # of the bot\n"
        ),
    ] {
        let token = ask(&world.broker_with_file(&content)).await;
        let token = token.unwrap_or_else(|failure| panic!("{content}: {failure}"));
        assert_eq!(identity(&token), DEFAULT_IDENTITY_ARN, "{content}");
    }
}

#[tokio::test]
async fn both_files_and_a_named_profile_work() {
    let world = World::new().await;
    let config = world.dir.write("config", "[profile x]\nregion=eu-west-1\n");
    let keys = file_of(DEFAULT_ACCESS_KEY_ID).replace("default", "x");
    let credentials = world.dir.write("credentials", keys);
    let broker = Broker::new(world.options(&[
        ("AWS_CONFIG_FILE", &config),
        ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
        ("AWS_PROFILE", "x"),
    ]));
    ask(&broker).await.unwrap();
}

#[tokio::test]
async fn keys_in_the_environment_go_before_a_file_even_a_broken_one() {
    let world = World::new().await;
    let config = world.dir.write("config", "not a profile file");
    let broker = Broker::new(world.options(&[
        ("AWS_CONFIG_FILE", &config),
        ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", "x\n"),
    ]));
    ask(&broker).await.unwrap();
}

#[tokio::test]
async fn without_any_credentials_the_message_lists_the_places_and_a_file_that_appears_is_taken() {
    let world = World::new().await;
    let path = world.dir.path().join("credentials");
    let path = path.to_str().unwrap();
    let broker = Broker::new(world.options(&[
        ("AWS_CONFIG_FILE", path),
        ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
    ]));
    let failure = ask(&broker).await.unwrap_err();
    assert_eq!(failure.reason, Reason::CredentialsMissing);
    assert!(!failure.waiting_helps);
    for part in [
        path,
        "aws-ecr-cloud-credentials",
        "AWS_ACCESS_KEY_ID is set without",
    ] {
        assert!(failure.message.contains(part), "{failure}");
    }
    let mut changed = broker.changed();
    world
        .dir
        .write("credentials", file_of(DEFAULT_ACCESS_KEY_ID));
    changed.changed().await.unwrap();
    ask(&broker).await.unwrap();
}

#[tokio::test]
async fn settings_that_end_other_programs_are_refused_by_name() {
    let world = World::new().await;
    for (setting, value) in [
        ("max_attempts", "0"),
        ("max_attempts", "-1"),
        ("max_attempts", "three"),
        ("max_attempts", "99999999999"),
        ("retry_mode", "garbage"),
    ] {
        let good = file_of(DEFAULT_ACCESS_KEY_ID);
        let broker = world.broker_with_file(&format!("{good}{setting} = {value}\n"));
        let failure = ask(&broker).await.unwrap_err();
        assert_eq!(failure.reason, Reason::CredentialsInvalid, "{failure}");
        let path = world.dir.path().join("credentials");
        for part in [setting, path.to_str().unwrap(), "remove it"] {
            assert!(failure.message.contains(part), "{failure}");
        }
        let mut changed = broker.changed();
        world.dir.write("credentials", good);
        changed.changed().await.unwrap();
        ask(&broker).await.unwrap();
    }
    for (variable, value) in [("AWS_MAX_ATTEMPTS", "0"), ("AWS_RETRY_MODE", "garbage")] {
        let broker = Broker::new(world.options(&[
            (variable, value),
            ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ]));
        let failure = ask(&broker).await.unwrap_err();
        assert_eq!(failure.reason, Reason::CredentialsInvalid, "{failure}");
        assert!(failure.message.contains(variable), "{failure}");
    }
}

#[tokio::test]
async fn settings_of_other_tools_do_no_harm_whatever_they_say() {
    let world = World::new().await;
    let settings = "max_attempts=3\nretry_mode=legacy\noutput=json\nuse_fips_endpoint=maybe\nuse_dualstack_endpoint=2\ndefaults_mode=x\nsts_regional_endpoints=x\nrequest_min_compression_size_bytes=-1\ndisable_request_compression=x\naccount_id_endpoint_mode=x\nsigv4a_signing_region_set=,\nauth_scheme_preference=,\nrequest_checksum_calculation=x\nresponse_checksum_validation=x\nsdk_ua_app_id=%%\nendpoint_url=::\nservices=none\nec2_metadata_service_endpoint=::\nec2_metadata_service_endpoint_mode=x\nignore_configured_endpoint_urls=x\ns3 =\n  max_attempts = 0\n";
    let content = file_of(DEFAULT_ACCESS_KEY_ID) + settings;
    ask(&world.broker_with_file(&content)).await.unwrap();
    let variables = [
        "AWS_NEW_RETRIES_2026",
        "AWS_DEFAULTS_MODE",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_ACCOUNT_ID_ENDPOINT_MODE",
        "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES",
        "AWS_STS_REGIONAL_ENDPOINTS",
    ]
    .map(|variable| (variable, "garbage"));
    let keys = [
        ("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ];
    let all: Vec<_> = variables.into_iter().chain(keys).collect();
    ask(&Broker::new(world.options(&all))).await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_work_are_refused_with_the_place_and_the_remedy() {
    let world = World::new().await;
    for (content, parts) in [
        ("aws_access_key_id=hidden\n", vec!["line 1", "[default]"]),
        ("[default]\nhidden\n", vec!["line 2", "name = value"]),
        (
            "[default]\naws_access_key_id=hidden\n",
            vec!["default", "aws_secret_access_key"],
        ),
        (
            "[default]\naws_access_key_id=\naws_secret_access_key=hidden\n",
            vec!["aws_access_key_id"],
        ),
        (
            "[default]\ncredential_process=hidden --run\n",
            vec!["credential_process", "access keys"],
        ),
        (
            "[default]\nsso_session=hidden\nsso_account_id=1\n",
            vec!["sso_", "web_identity_token_file"],
        ),
        ("[default]\nlogin_session=hidden\n", vec!["login_session"]),
        (
            "[default]\nrole_arn=arn:x\n",
            vec!["role_arn", "web_identity_token_file"],
        ),
        ("[default]\nweb_identity_token_file=/x\n", vec!["role_arn"]),
        (
            "[default]\nrole_arn=arn:x\nsource_profile=gone\n",
            vec!["gone", "source_profile"],
        ),
        (
            "[default]\nrole_arn=arn:x\nsource_profile=b\n[profile b]\nrole_arn=arn:y\nsource_profile=default\n",
            vec!["its own source"],
        ),
        (
            "[default]\nrole_arn=arn:x\nsource_profile=b\ncredential_source=Environment\n",
            vec!["both"],
        ),
        (
            "[default]\nrole_arn=arn:x\ncredential_source=Moon\n",
            vec!["credential_source"],
        ),
        (
            "[default]\nrole_arn=arn:x\ncredential_source=Environment\n",
            vec!["AWS_ACCESS_KEY_ID"],
        ),
    ] {
        let failure = ask(&world.broker_with_file(content)).await.unwrap_err();
        assert_eq!(
            failure.reason,
            Reason::CredentialsInvalid,
            "{content}: {failure}"
        );
        assert!(!failure.message.contains("hidden"), "{failure}");
        assert!(!failure.message.contains('\n'), "{failure}");
        for part in parts {
            assert!(
                failure.message.contains(part),
                "{part:?} is not in: {failure}"
            );
        }
    }
    assert_eq!(world.aws.counts().total(), 0, "nothing was sent anywhere");
}

#[tokio::test]
async fn a_file_that_is_no_text_or_a_directory_is_refused_by_its_path() {
    let world = World::new().await;
    let path = world.dir.write("binary", [0xff, 0xfe, 0x00]);
    let directory = world.dir.path().to_str().unwrap();
    for path in [path.as_str(), directory] {
        let broker = Broker::new(world.options(&[("AWS_CONFIG_FILE", path)]));
        let failure = ask(&broker).await.unwrap_err();
        assert_eq!(failure.reason, Reason::CredentialsInvalid, "{failure}");
        assert!(failure.message.contains(path), "{failure}");
    }
}

#[tokio::test]
async fn a_program_in_the_file_is_never_started() {
    let world = World::new().await;
    let trace = world.dir.path().join("trace");
    let content = format!("[default]\ncredential_process=touch {}\n", trace.display());
    ask(&world.broker_with_file(&content)).await.unwrap_err();
    assert!(!trace.exists());
}

#[tokio::test]
async fn new_keys_are_taken_without_a_restart_and_tokens_of_the_old_identity_are_gone() {
    let world = World::new().await;
    world.aws.add_static_identity(SECOND_ID, SECOND_ARN);
    let broker = world.broker_with_file(&file_of(DEFAULT_ACCESS_KEY_ID));
    let mut changed = broker.changed();
    assert_eq!(identity(&ask(&broker).await.unwrap()), DEFAULT_IDENTITY_ARN);
    world.dir.write("credentials", file_of(SECOND_ID));
    changed.changed().await.unwrap();
    assert_eq!(identity(&ask(&broker).await.unwrap()), SECOND_ARN);
    assert_eq!(*changed.borrow_and_update(), 2);

    // The same content again is no change.
    world.dir.write("credentials", file_of(SECOND_ID));
    world.advance(Duration::from_secs(1));
    ask(&broker).await.unwrap();
    assert_eq!(world.calls(), 2);
    assert!(!changed.has_changed().unwrap());
}

#[tokio::test]
async fn a_failure_is_forgotten_when_the_file_changes() {
    let world = World::new().await;
    let broker = world.broker_with_file(&file_of("AKIAUNKNOWN"));
    let mut changed = broker.changed();
    let failure = ask(&broker).await.unwrap_err();
    assert_eq!(failure.reason, Reason::CredentialsInvalid);
    world
        .dir
        .write("credentials", file_of(DEFAULT_ACCESS_KEY_ID));
    changed.changed().await.unwrap();
    ask(&broker).await.unwrap();
}

#[tokio::test]
async fn a_mounted_secret_that_kubelet_swaps_is_noticed() {
    use std::os::unix::fs::symlink;
    let world = World::new().await;
    world.aws.add_static_identity(SECOND_ID, SECOND_ARN);
    let root = world.dir.path().join("mount");
    let publish = |version: &str, content: String| {
        let data = root.join(version);
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("credentials"), content).unwrap();
        symlink(version, root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    publish("..2026_1", file_of(DEFAULT_ACCESS_KEY_ID));
    symlink("..data/credentials", root.join("credentials")).unwrap();
    let path = root.join("credentials");
    let broker = Broker::new(world.options(&[("AWS_CONFIG_FILE", path.to_str().unwrap())]));
    let mut changed = broker.changed();
    assert_eq!(identity(&ask(&broker).await.unwrap()), DEFAULT_IDENTITY_ARN);
    publish("..2026_2", file_of(SECOND_ID));
    changed.changed().await.unwrap();
    assert_eq!(identity(&ask(&broker).await.unwrap()), SECOND_ARN);
}

#[tokio::test]
async fn a_call_that_the_old_identity_began_serves_nobody_after_the_change() {
    let world = World::new().await;
    world.aws.add_static_identity(SECOND_ID, SECOND_ARN);
    let broker = world.broker_with_file(&file_of(DEFAULT_ACCESS_KEY_ID));
    let mut changed = broker.changed();
    ask(&broker).await.unwrap();
    world.aws.set_fault(Fault::Latency { ms: 400 });
    let younger = Freshness {
        issued_after: world.now(),
        force: false,
    };
    let asker = tokio::spawn({
        let broker = broker.clone();
        async move { ask_for(&broker, &key(REGION), younger).await }
    });
    world.wait_for_calls(2).await;
    world.dir.write("credentials", file_of(SECOND_ID));
    changed.changed().await.unwrap();
    let answered = world.aws.counts().answered(crate::support::ECR);
    assert_eq!(answered, 1, "the second call is under way");
    // Nor does the first call's token, although it was good enough for this asker.
    assert_eq!(identity(&ask(&broker).await.unwrap()), SECOND_ARN);
    assert_eq!(identity(&asker.await.unwrap().unwrap()), SECOND_ARN);
}

#[tokio::test]
async fn the_files_are_also_looked_at_before_each_call() {
    let world = World::new().await;
    world.aws.add_static_identity(SECOND_ID, SECOND_ARN);
    let path = world
        .dir
        .write("credentials", file_of(DEFAULT_ACCESS_KEY_ID));
    let mut options = world.options(&[("AWS_CONFIG_FILE", &path)]);
    options.recheck = Duration::from_hours(1);
    let broker = Broker::new(options);
    ask(&broker).await.unwrap();
    world.dir.write("credentials", file_of(SECOND_ID));
    let freshness = Freshness {
        issued_after: world.now(),
        force: false,
    };
    let token = ask_for(&broker, &key(REGION), freshness).await.unwrap();
    assert_eq!(identity(&token), SECOND_ARN);
}

#[tokio::test]
async fn a_broker_that_is_dropped_stops_looking_at_the_files() {
    let world = World::new().await;
    let broker = world.broker_with_file(&file_of(DEFAULT_ACCESS_KEY_ID));
    let changed = broker.changed();
    drop(broker);
    wait_until("the watch has ended", || changed.has_changed().is_err()).await;
}
