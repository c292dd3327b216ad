//! Renews tokens in business hours, so that trouble with a renewal is met by somebody awake.
//!
//! Settings, all optional:
//!
//! | field | meaning |
//! |---|---|
//! | `utc_offset_minutes` | -720 to 840: how far local time is ahead of UTC, 0 by default; it does not follow summer time |
//! | `from`, `until` | 0 to 24: the local hours at which business begins and ends, 8 and 18 by default |
//! | `days` | the days of business, of `mon` to `sun`; `mon` to `fri` by default |
//!
//! ```json
//! {"utc_offset_minutes": 60, "from": 7, "until": 21, "days": ["mon", "tue", "wed", "thu", "fri", "sat"]}
//! ```
//!
//! The operator's own time stands when it lies in business hours. When it does not, the token is renewed at the last
//! business moment before it, which is the end of a day. There may be none in the token's life: then the operator's time
//! stands as well, as it does before the first token.
//!
//! How long a closed time is bridged depends on the operator: it renews after the resource's `frequency`, 10 h if left
//! out, and after seven eighths of the token's life at the latest, 10 h 30 min of 12 h. So no renewal falls into the night
//! between 21 and 7. A longer night, or a weekend, has renewals still; the one at the end of the day puts them off.
//!
//! The answer follows from the token and never from the clock: when its time has come the operator asks again, and a
//! policy that then names a later time is never done.

use ecr_policy::prelude::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// The operator renews when so many eighths of a token's life are over, at the latest.
const SAFE_EIGHTHS: u64 = 7;
/// The operator spreads a fleet over this part of the time until a renewal: one twentieth before it.
const SPREAD_PART: u64 = 20;
/// A token that is younger at the end of business, in seconds, is not renewed for it: it may be the one of that renewal,
/// which resources share.
const YOUNG: u64 = 60;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Setting)]
#[setting(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(default, deny_unknown_fields)]
pub struct Settings {
    /// -720 to 840: how far local time is ahead of UTC, 0 by default. It does not follow summer time.
    utc_offset_minutes: i32,
    /// 0 to 24: the local hour at which business begins, 8 by default.
    from: u8,
    /// 0 to 24: the local hour at which business ends, 18 by default.
    until: u8,
    /// The days of business, `mon` to `fri` by default.
    days: Vec<Weekday>,
}

impl Default for Settings {
    fn default() -> Self {
        use Weekday::{Fri, Mon, Thu, Tue, Wed};
        Self {
            utc_offset_minutes: 0,
            from: 8,
            until: 18,
            days: vec![Mon, Tue, Wed, Thu, Fri],
        }
    }
}

/// The policy that renews in business hours.
#[derive(Debug)]
pub struct BusinessHours;

impl Policy for BusinessHours {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), Refusal> {
        let (field, message) = if !(-720..=840).contains(&settings.utc_offset_minutes) {
            ("utc_offset_minutes", "must be -720 to 840")
        } else if settings.until > 24 {
            ("until", "must be 0 to 24")
        } else if settings.from >= settings.until {
            ("from", "must be 0 to 24, and before `until`")
        } else if settings.days.is_empty() {
            ("days", "must hold at least one of `mon` to `sun`")
        } else {
            return Ok(());
        };
        Err(Refusal::invalid_setting(field, message))
    }

    fn decide(request: &Request, settings: Settings) -> Result<Decision, Refusal> {
        let decision = request.default_decision();
        let frequency = request.resource.frequency_seconds;
        let better = request
            .token
            .and_then(|token| settings.better_time(token, frequency));
        Ok(match better {
            Some(time) => decision.refresh_at(time),
            None => decision,
        })
    }
}

impl Settings {
    /// When to renew instead of at the operator's own time; none when that one is good, or no other is better.
    fn better_time(&self, token: TokenWindow, frequency: u64) -> Option<u64> {
        let life = token.expires_at.saturating_sub(token.issued_at);
        // The operator's own time lies between these two, by its spread. Nothing that is later than both counts.
        let age = frequency.min(life / 8 * SAFE_EIGHTHS);
        let latest = token.issued_at.saturating_add(age);
        let earliest = latest - age / SPREAD_PART;
        let (opening, moment) = self.last_open(latest)?;
        if moment == latest && opening <= earliest {
            return None;
        }
        (moment >= token.issued_at.saturating_add(YOUNG)).then_some(moment)
    }

    /// The last moment of business that is not after `time`, and when that day's business began.
    fn last_open(&self, time: u64) -> Option<(u64, u64)> {
        let offset = i64::from(self.utc_offset_minutes) * 60;
        let local = i64::try_from(time).ok()?.checked_add(offset)?;
        let (today, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        // After seven days the same weekday comes again, which today may have been before its opening.
        (0..=7).find_map(|days_ago| {
            let ago = |hour: u8| days_ago * DAY + second - i64::from(hour) * HOUR;
            let before = |ago: i64| time.checked_sub(u64::try_from(ago).ok()?);
            let opening = before(ago(self.from))?;
            let moment = before(ago(self.until).max(0))?;
            self.is_open(today - days_ago).then_some((opening, moment))
        })
    }

    /// Whether there is business on the day that is this many days after 1970-01-01.
    fn is_open(&self, day: i64) -> bool {
        // That day was a Thursday, three days after a Monday.
        let weekday = (day + 3).rem_euclid(7);
        self.days.iter().any(|open| *open as i64 == weekday)
    }
}

ecr_policy::export!(BusinessHours);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::test::{NOW, request};

    /// 2025-12-29, a Monday, at midnight UTC.
    const MONDAY: u64 = NOW - 3 * 86_400;
    /// Nights of ten hours, every day: as long as a renewal with the usual frequency reaches.
    const LONG_DAYS: &str =
        r#"{"from": 7, "until": 21, "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}"#;

    /// A time of that week, or of one after it.
    fn at(day: u64, hour: u64, minute: u64) -> u64 {
        MONDAY + day * 86_400 + hour * 3600 + minute * 60
    }

    /// The time of renewal for a token of twelve hours that was issued then.
    fn refresh(issued_at: u64, settings: &str) -> Refresh {
        let mut request = request("shop", "ecr").with_settings(settings);
        request.now = issued_at;
        request.token = Some(TokenWindow {
            issued_at,
            expires_at: issued_at + 12 * 3600,
        });
        evaluate::<BusinessHours>(&request).unwrap().refresh
    }

    fn wrong_field(settings: &str) -> String {
        let refusal = validate_settings::<BusinessHours>(settings).unwrap_err();
        let Refusal::InvalidSettings(errors) = refusal else {
            panic!("{refusal:?}")
        };
        errors[0].field.clone()
    }

    #[test]
    fn a_renewal_in_business_hours_is_left_to_the_operator() {
        assert_eq!(refresh(at(0, 4, 0), "{}"), Refresh::HostDefault);
    }

    #[test]
    fn a_renewal_that_would_fall_into_the_night_is_done_at_the_end_of_the_day() {
        assert_eq!(refresh(at(0, 13, 45), "{}"), Refresh::At(at(0, 18, 0)));
        assert_eq!(refresh(at(4, 14, 0), "{}"), Refresh::At(at(4, 18, 0)));
    }

    #[test]
    fn a_renewal_that_the_operators_spread_could_bring_before_the_opening_has_a_fixed_time() {
        // Due at 8:20, and half an hour earlier for some.
        assert_eq!(refresh(at(0, 22, 20), "{}"), Refresh::At(at(1, 8, 20)));
        assert_eq!(refresh(at(0, 22, 30), "{}"), Refresh::HostDefault);
    }

    #[test]
    fn without_business_hours_in_the_life_of_the_token_the_operators_time_stands() {
        for issued_at in [at(0, 18, 0), at(4, 18, 0), at(5, 10, 0), at(6, 20, 0)] {
            assert_eq!(refresh(issued_at, "{}"), Refresh::HostDefault);
        }
    }

    #[test]
    fn before_the_first_token_the_operators_time_stands() {
        let mut request = request("shop", "ecr");
        request.token = None;
        let decision = evaluate::<BusinessHours>(&request).unwrap();
        assert_eq!(decision, request.default_decision());
    }

    #[test]
    fn the_answer_stays_the_same_while_the_clock_goes_on() {
        let mut request = request("shop", "ecr");
        request.token = Some(TokenWindow {
            issued_at: at(0, 14, 0),
            expires_at: at(1, 2, 0),
        });
        for now in [at(0, 14, 0), at(0, 18, 0), at(0, 18, 1), at(1, 1, 0)] {
            request.now = now;
            let refresh = evaluate::<BusinessHours>(&request).unwrap().refresh;
            assert_eq!(refresh, Refresh::At(at(0, 18, 0)));
        }
    }

    #[test]
    fn a_token_of_the_moment_is_not_renewed_again() {
        assert_eq!(refresh(at(0, 18, 0) - 59, "{}"), Refresh::HostDefault);
        assert_eq!(
            refresh(at(0, 18, 0) - 60, "{}"),
            Refresh::At(at(0, 18, 0)),
            "a minute is old enough"
        );
    }

    #[test]
    fn in_weeks_of_long_days_no_renewal_falls_into_a_night() {
        for minute in 0..24 * 60 {
            let mut time = at(0, 0, minute);
            for renewal in 0..50 {
                time = match refresh(time, LONG_DAYS) {
                    Refresh::At(time) => time,
                    // The earliest that the operator's spread allows.
                    _ => time + 9 * 3600 + 1800,
                };
                let second = time % 86_400;
                let open = (7 * 3600..=21 * 3600).contains(&second);
                // The first token may have been issued at any time of the night.
                assert!(open || renewal == 0, "{minute}: {second}");
            }
        }
    }

    #[test]
    fn the_hours_are_local() {
        // Due at 23:45 UTC: 9:45 of the next day in Sydney, 18:45 in New York.
        let sydney = r#"{"utc_offset_minutes": 600}"#;
        assert_eq!(refresh(at(0, 13, 45), sydney), Refresh::HostDefault);
        assert_eq!(refresh(at(4, 13, 45), sydney), Refresh::HostDefault);
        let new_york = r#"{"utc_offset_minutes": -300}"#;
        assert_eq!(
            refresh(at(0, 13, 45), new_york),
            Refresh::At(at(0, 23, 0)),
            "18:00 there"
        );
        let nepal = r#"{"utc_offset_minutes": 345}"#;
        assert_eq!(refresh(at(0, 10, 0), nepal), Refresh::At(at(0, 12, 15)));
    }

    #[test]
    fn the_days_come_from_the_settings() {
        let sunday = r#"{"days": ["sun"]}"#;
        assert_eq!(refresh(at(6, 12, 0), sunday), Refresh::At(at(6, 18, 0)));
        assert_eq!(refresh(at(5, 12, 0), sunday), Refresh::HostDefault);
        assert_eq!(refresh(at(6, 0, 0), sunday), Refresh::HostDefault);
    }

    #[test]
    fn round_the_clock_there_is_always_business() {
        let always = LONG_DAYS.replace("21", "24").replace('7', "0");
        assert_eq!(refresh(at(0, 3, 0), &always), Refresh::HostDefault);
        // Up to midnight is one day's business: the same time, only without the spread.
        assert_eq!(refresh(at(0, 14, 10), &always), Refresh::At(at(1, 0, 10)));
    }

    #[test]
    fn a_short_frequency_or_life_is_never_exceeded() {
        let mut request = request("shop", "ecr");
        let window = |hours: u64| {
            Some(TokenWindow {
                issued_at: at(0, 17, 30),
                expires_at: at(0, 17, 30) + hours * 3600,
            })
        };
        request.resource.frequency_seconds = 1200;
        request.token = window(12);
        let refresh = |request: &Request| evaluate::<BusinessHours>(request).unwrap().refresh;
        assert_eq!(refresh(&request), Refresh::HostDefault);
        request.resource.frequency_seconds = 36_000;
        request.token = window(1);
        assert_eq!(refresh(&request), Refresh::At(at(0, 18, 0)));
    }

    #[test]
    fn any_token_and_frequency_give_an_answer() {
        let times = [0, 1, 86_399, NOW, u64::MAX / 2, u64::MAX - 1, u64::MAX];
        for settings in ["{}", r#"{"utc_offset_minutes": -720, "until": 24}"#] {
            for issued_at in times {
                for expires_at in times {
                    for frequency in [0, 36_000, u64::MAX] {
                        let mut request = request("shop", "ecr").with_settings(settings);
                        request.resource.frequency_seconds = frequency;
                        request.token = Some(TokenWindow {
                            issued_at,
                            expires_at,
                        });
                        let refresh = evaluate::<BusinessHours>(&request).unwrap().refresh;
                        if let Refresh::At(time) = refresh {
                            assert!((issued_at..expires_at).contains(&time), "{time}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        for (settings, field) in [
            (r#"{"utc_offset_minutes": 841}"#, "utc_offset_minutes"),
            (r#"{"utc_offset_minutes": -721}"#, "utc_offset_minutes"),
            (r#"{"utc_offset_minutes": 1.5}"#, "utc_offset_minutes"),
            (r#"{"until": 25}"#, "until"),
            (r#"{"from": 18}"#, "from"),
            (r#"{"from": 20, "until": 6}"#, "from"),
            (r#"{"from": 300}"#, "from"),
            (r#"{"days": []}"#, "days"),
            (r#"{"days": ["mon", "monday"]}"#, "days[1]"),
            (r#"{"timezone": "Europe/Berlin"}"#, "timezone"),
        ] {
            assert_eq!(wrong_field(settings), field, "{settings}");
        }
        for good in ["", "{}", r#"{"from": 0, "until": 24}"#, LONG_DAYS] {
            validate_settings::<BusinessHours>(good).unwrap();
        }
    }
}
