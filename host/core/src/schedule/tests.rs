#![allow(clippy::unwrap_used, reason = "tests")]
use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn window(life: i64) -> TokenWindow {
    TokenWindow {
        issued_at: at(1_800_000_000),
        expires_at: at(1_800_000_000 + life),
    }
}

fn seconds_after_issue(life: i64, frequency: Option<&str>, refresh: Refresh) -> i64 {
    let plan = schedule(
        window(life),
        &Frequency::from_spec(frequency),
        refresh,
        "uid",
    );
    plan.refresh_at.as_second() - window(life).issued_at.as_second()
}

#[test]
fn without_a_frequency_a_twelve_hour_token_is_renewed_after_about_ten_hours() {
    let after = seconds_after_issue(12 * HOUR, None, Refresh::HostDefault);
    assert!(
        (9 * HOUR + HOUR / 2..=10 * HOUR).contains(&after),
        "{after}"
    );
}

#[test]
fn a_frequency_longer_than_the_token_never_leaves_a_dead_one() {
    for frequency in ["24h", "2540400h", "garbage", "0s", "-5m"] {
        let after = seconds_after_issue(12 * HOUR, Some(frequency), Refresh::HostDefault);
        assert!(
            (9 * HOUR..=10 * HOUR + HOUR / 2).contains(&after),
            "{frequency}: {after}"
        );
    }
}

#[test]
fn ten_seconds_are_obeyed_and_less_is_raised_to_them() {
    for frequency in ["10s", "300ms", "1µs"] {
        let after = seconds_after_issue(12 * HOUR, Some(frequency), Refresh::HostDefault);
        assert_eq!(after, 10, "{frequency}");
    }
    assert_eq!(Frequency::from_spec(Some("10s")).adjusted, None);
    assert_eq!(
        Frequency::from_spec(Some("300ms")).adjusted.unwrap().reason,
        Reason::InvalidFrequency
    );
}

#[test]
fn a_mistaken_frequency_is_explained() {
    for frequency in ["garbage", "0s", "-1h", "10"] {
        let read = Frequency::from_spec(Some(frequency));
        assert_eq!(read.interval, None, "{frequency}");
        let adjusted = read.adjusted.unwrap();
        assert_eq!(adjusted.reason, Reason::InvalidFrequency);
        assert!(adjusted.message.contains(frequency), "{}", adjusted.message);
    }
}

#[test]
fn a_policys_time_is_obeyed_to_the_second_inside_the_bounds() {
    assert_eq!(
        seconds_after_issue(12 * HOUR, None, Refresh::AfterIssue(60)),
        60
    );
    assert_eq!(
        seconds_after_issue(12 * HOUR, None, Refresh::BeforeExpiry(6 * 3600)),
        6 * HOUR
    );
    assert_eq!(
        seconds_after_issue(12 * HOUR, None, Refresh::At(1_800_000_000 + 90)),
        90
    );
}

#[test]
fn a_time_in_the_past_is_raised_to_the_floor_and_told() {
    for refresh in [
        Refresh::At(0),
        Refresh::At(1),
        Refresh::AfterIssue(0),
        Refresh::BeforeExpiry(u64::MAX),
    ] {
        let plan = schedule(
            window(12 * HOUR),
            &Frequency::from_spec(None),
            refresh,
            "uid",
        );
        assert_eq!(plan.refresh_at, at(1_800_000_010), "{refresh:?}");
        assert_eq!(plan.adjusted.unwrap().reason, Reason::RefreshTimeClamped);
    }
}

#[test]
fn the_year_9999_is_lowered_and_told() {
    for refresh in [
        Refresh::At(253_402_300_799),
        Refresh::At(u64::MAX),
        Refresh::AfterIssue(u64::MAX),
        Refresh::BeforeExpiry(0),
    ] {
        let plan = schedule(
            window(12 * HOUR),
            &Frequency::from_spec(Some("24h")),
            refresh,
            "uid",
        );
        assert_eq!(
            plan.refresh_at,
            window(12 * HOUR).safe_until(),
            "{refresh:?}"
        );
        assert_eq!(plan.adjusted.unwrap().reason, Reason::RefreshTimeClamped);
    }
}

#[test]
fn a_fleet_does_not_move_as_one() {
    let times: std::collections::BTreeSet<_> = (0..100)
        .map(|n| {
            schedule(
                window(12 * HOUR),
                &Frequency::from_spec(None),
                Refresh::HostDefault,
                &format!("uid-{n}"),
            )
            .refresh_at
        })
        .collect();
    assert!(times.len() > 80, "only {} different times", times.len());
}

#[test]
fn a_fleet_shares_a_token_that_is_younger_than_half_of_its_interval() {
    let now = at(1_800_000_000);
    let oldest = oldest_issue(
        now,
        &Frequency::from_spec(None),
        Refresh::HostDefault,
        SignedDuration::from_hours(12),
    );
    let age = now.duration_since(oldest).as_secs();
    assert!((4 * HOUR..=5 * HOUR).contains(&age), "{age}");
    let oldest = oldest_issue(
        now,
        &Frequency::from_spec(None),
        Refresh::AfterIssue(60),
        SignedDuration::from_hours(12),
    );
    assert_eq!(now.duration_since(oldest).as_secs(), 30);
}

fn any_refresh() -> impl Strategy<Value = Refresh> {
    prop_oneof![
        Just(Refresh::HostDefault),
        any::<u64>().prop_map(Refresh::At),
        (1_799_000_000u64..1_801_000_000).prop_map(Refresh::At),
        any::<u64>().prop_map(Refresh::AfterIssue),
        any::<u64>().prop_map(Refresh::BeforeExpiry),
    ]
}

proptest! {
    #[test]
    fn no_token_is_used_past_its_safety_point_nor_renewed_before_its_floor(
        life in 1i64..200_000,
        frequency in proptest::option::of("[0-9]{1,4}(ms|s|m|h)|garbage|-1h"),
        refresh in any_refresh(),
        seed in "[a-z]{0,8}",
    ) {
        let window = window(life);
        let plan = schedule(window, &Frequency::from_spec(frequency.as_deref()), refresh, &seed);
        prop_assert!(plan.refresh_at <= window.safe_until());
        prop_assert!(plan.refresh_at < window.expires_at);
        let shortest = SHORTEST_INTERVAL.min(window.life() / FLOOR_PART);
        prop_assert!(plan.refresh_at >= window.issued_at + shortest);
    }

    #[test]
    fn any_two_times_make_a_schedule(issued in any::<i32>(), expires in any::<i32>(), refresh in any_refresh()) {
        let window = TokenWindow { issued_at: at(issued.into()), expires_at: at(expires.into()) };
        let plan = schedule(window, &Frequency::from_spec(None), refresh, "");
        prop_assert!(plan.refresh_at <= window.safe_until().max(window.issued_at));
    }
}
