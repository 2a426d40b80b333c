//! How far the worker may go: mode, arming, freeze, pace, breaker, window.
//!
//! Values only. `settings` checks them, `engine::plan` obeys them, and `remediate::gate` counts them again by
//! separate code right before each call.

use chrono::{NaiveDate, NaiveTime, Weekday};
use serde::{Deserialize, Serialize};

use super::Instant;
use super::place::AccountId;

/// The three modes of product.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// State and reports only.
    #[default]
    Observe,
    /// Notices too; changes only by `apply PLANFILE`.
    Notify,
    /// Everything, for armed accounts.
    Enforce,
}

/// A person's statement that an account may be acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arming {
    /// The account.
    pub account: AccountId,
    /// Who armed it.
    pub by: String,
    /// When.
    pub at: Instant,
    /// Last instant at which it holds, at most 90 days after `at`.
    pub until: Instant,
    /// Hash of each policy that may act, by policy name. Another hash holds that policy's steps.
    pub policies: Vec<(String, String)>,
}

/// Why nothing may be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Since when.
    pub at: Instant,
    /// Who or which part.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// How much may change (product.md, "Pace"). Zero means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Deletes and terminates in one run, per account.
    pub destructive_per_run: u32,
    /// Stops and resizes in one run, per account.
    pub disruptive_per_run: u32,
    /// Deletes and terminates in one day, per account.
    pub destructive_per_day: u32,
    /// Tag writes in one run, per account.
    pub tags_per_run: u32,
    /// Percent of the resources of a kind in an account that may change in one day; at least one, unless 0.
    pub percent_of_kind_per_day: u32,
}

/// When a policy that became newly due on too much is held whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Newly due findings up to this number never trip it.
    pub count: u32,
    /// Percent of the kind; the larger of count and this holds.
    pub percent_of_kind: u32,
    /// Dollars a month; `None` is off.
    pub usd: Option<super::money::Usd>,
    /// Different owners; `None` is off.
    pub owners: Option<u32>,
}

/// What a person does about a policy that the breaker holds. Arming shows what is due and approves it, in mode notify too.
pub const WAY_ON: &str = "arm every account that it became due in again to approve, or grant exceptions";

/// When acts may happen, in the configured zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Days of the week.
    pub days: Vec<Weekday>,
    /// First minute.
    pub from: NaiveTime,
    /// First minute after it.
    pub to: NaiveTime,
    /// The zone's name, for example `Europe/Berlin`.
    pub zone: chrono_tz::Tz,
    /// Days without acts.
    pub holidays: Vec<NaiveDate>,
}

impl Mode {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Observe => "observe",
            Mode::Notify => "notify",
            Mode::Enforce => "enforce",
        }
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            destructive_per_run: 3,
            disruptive_per_run: 10,
            destructive_per_day: 10,
            tags_per_run: 500,
            percent_of_kind_per_day: 5,
        }
    }
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker { count: 10, percent_of_kind: 20, usd: None, owners: None }
    }
}

impl Pace {
    /// How many resources of a kind may change in a day, of `total` in the account: max(1, ⌊percent⌋), and 0 at 0 %.
    pub fn daily_share(&self, total: u64) -> u64 {
        if self.percent_of_kind_per_day == 0 {
            return 0;
        }
        (total * u64::from(self.percent_of_kind_per_day) / 100).max(1)
    }
}

impl Breaker {
    /// How many newly due findings of one policy pass, of `total` resources of the kind.
    pub fn passes(&self, total: u64) -> u64 {
        u64::from(self.count).max(total * u64::from(self.percent_of_kind) / 100)
    }
}

impl Default for Window {
    /// Monday to Thursday, 09:30 to 15:30 UTC.
    fn default() -> Window {
        Window {
            days: vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu],
            from: NaiveTime::from_hms_opt(9, 30, 0).unwrap_or(NaiveTime::MIN),
            to: NaiveTime::from_hms_opt(15, 30, 0).unwrap_or(NaiveTime::MIN),
            zone: chrono_tz::UTC,
            holidays: Vec::new(),
        }
    }
}

impl Window {
    /// Why an act may not happen at an instant; `None` inside the window.
    pub fn closed_because(&self, now: Instant) -> Option<String> {
        use chrono::Datelike;
        let local = now.with_timezone(&self.zone);
        let span = format!("{}–{} {}", self.from.format("%H:%M"), self.to.format("%H:%M"), self.zone);
        if !self.days.contains(&local.weekday()) {
            let days: Vec<String> = self.days.iter().map(Weekday::to_string).collect();
            Some(format!("{} is no action day ({}, {span})", local.weekday(), days.join(" ")))
        } else if self.holidays.contains(&local.date_naive()) {
            Some(format!("{} is a holiday in the settings", local.date_naive()))
        } else if local.time() < self.from || local.time() >= self.to {
            Some(format!("{} is outside the action window {span}", local.format("%H:%M")))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_window_is_monday_to_thursday_half_past_nine_to_half_past_three() {
        let window = Window::default();
        for (instant, open) in [
            ("2026-11-23T09:29:59Z", false),
            ("2026-11-23T09:30:00Z", true),
            ("2026-11-26T15:29:59Z", true),
            ("2026-11-26T15:30:00Z", false),
            ("2026-11-27T10:00:00Z", false),
            ("2026-11-22T10:00:00Z", false),
        ] {
            assert_eq!(window.closed_because(at(instant)).is_none(), open, "{instant}");
        }
        let holiday = Window { holidays: vec!["2026-11-23".parse().unwrap()], ..Window::default() };
        assert_eq!(
            holiday.closed_because(at("2026-11-23T10:00:00Z")).unwrap(),
            "2026-11-23 is a holiday in the settings"
        );
    }

    #[test]
    fn the_window_follows_the_zone_over_a_clock_change() {
        let berlin = Window { zone: chrono_tz::Europe::Berlin, ..Window::default() };
        assert!(berlin.closed_because(at("2026-10-22T07:30:00Z")).is_none(), "09:30 summer time");
        assert!(berlin.closed_because(at("2026-10-26T07:30:00Z")).is_some(), "08:30 winter time");
        assert!(berlin.closed_because(at("2026-10-26T08:30:00Z")).is_none(), "09:30 winter time");
    }

    #[test]
    fn a_share_of_a_kind_is_at_least_one_and_zero_only_at_zero_percent() {
        let pace = Pace::default();
        assert_eq!((pace.daily_share(3), pace.daily_share(40), pace.daily_share(100)), (1, 2, 5));
        assert_eq!(Pace { percent_of_kind_per_day: 0, ..pace }.daily_share(1_000), 0);
        assert_eq!((Breaker::default().passes(20), Breaker::default().passes(100)), (10, 20));
    }
}
