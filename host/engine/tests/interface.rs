//! The interface keeps what it promised: a policy of any released version goes on to run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use test_modules::WIT;
use wit_component::semver_check;
use wit_parser::{Resolve, WorldId};

/// All released versions.
const RELEASED: [(&str, &str); 1] = [(
    "1.0.0",
    include_str!("../../../wit/released/policy-1.0.0.wit"),
)];

/// Adds the world of a text to `resolve`, under a version that tells it apart.
fn world(resolve: &mut Resolve, wit: &str, version: &str) -> WorldId {
    let own = version_of(wit);
    let package = format!("package mobb:ecr-policy@{own};");
    let renamed = wit.replace(&package, &format!("package mobb:ecr-policy@{version};"));
    // What was since which version has no meaning under this one.
    let lines = renamed
        .lines()
        .filter(|line| !line.trim().starts_with("@since("));
    let wit: String = lines.flat_map(|line| [line, "\n"]).collect();
    let package = resolve.push_str("policy.wit", &wit).unwrap();
    resolve.select_world(&[package], Some("policy")).unwrap()
}

fn version_of(wit: &str) -> &str {
    let (_, rest) = wit.split_once("package mobb:ecr-policy@").unwrap();
    rest.split_once(';').unwrap().0
}

/// Whether a guest of the interface `before` fits a host of the interface `after`.
fn fits(before: &str, after: &str) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let before = world(&mut resolve, before, "0.0.1");
    let after = world(&mut resolve, after, "0.0.2");
    semver_check(resolve, before, after).map_err(|error| format!("{error:#}"))
}

/// What stands against publishing `now` when `released` is out.
fn gate(version: &str, released: &str, now: &str) -> Result<(), String> {
    let same_major = version.split('.').next() == version_of(now).split('.').next();
    if !same_major {
        return Ok(());
    }
    fits(released, now)?;
    if version == version_of(now) {
        // A version that is out means one thing for ever.
        fits(now, released)?;
    }
    Ok(())
}

#[test]
fn the_interface_is_compatible_with_every_released_version_of_its_major_version() {
    for (version, released) in RELEASED {
        assert_eq!(version_of(released), version);
        assert_eq!(gate(version, released, WIT), Ok(()), "{version}");
    }
    let newest = RELEASED.last().unwrap().0;
    assert_eq!(
        version_of(WIT),
        newest,
        "a new version needs its copy in wit/released"
    );
}

#[test]
fn the_gate_refuses_what_would_break_a_policy_that_is_out() {
    let (version, released) = RELEASED[0];
    let broken = [
        ("secret-name: string,", "secret-title: string,"),
        ("now: timestamp,", "now: timestamp, later: u64,"),
        ("denied(string),", "denied(string), later(u64),"),
        (
            "export about;",
            "export about; export decide-again: func();",
        ),
        (
            "validate-settings: func(settings: string)",
            "validate-settings: func(settings: list<u8>)",
        ),
    ];
    for (ours, theirs) in broken {
        assert!(WIT.contains(ours), "{ours}");
        let changed = WIT.replace(ours, theirs);
        assert!(gate(version, released, &changed).is_err(), "{theirs}");
        let next = changed.replace(
            "package mobb:ecr-policy@1.0.0;",
            "package mobb:ecr-policy@2.0.0;",
        );
        assert_eq!(
            gate(version, released, &next),
            Ok(()),
            "a new major version may"
        );
    }
}

#[test]
fn the_gate_lets_a_minor_version_offer_more_and_a_released_one_stay_as_it_is() {
    let (version, released) = RELEASED[0];
    // A host that offers an import, and wants no more of the guest than before.
    let offered = WIT.replace("export decide;", "import more: func(); export decide;");
    let minor = offered.replace(
        "package mobb:ecr-policy@1.0.0;",
        "package mobb:ecr-policy@1.1.0;",
    );
    assert_eq!(gate(version, released, &minor), Ok(()));
    assert!(
        gate(version, released, &offered).is_err(),
        "but not under the same version"
    );
}
