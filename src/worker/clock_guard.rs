//! Whether the machine's clock can be believed. Pure: the daemon feeds it and obeys it.
//!
//! Grace periods, windows and slots are instants, so a wrong clock is a way to act too early, and a way to count what
//! never was missed. Three witnesses are compared with the wall clock: the monotonic clock since the last reading that
//! was believed (a jump, a stopped clock, drift), the highest instant that this state has ever trusted (a clock set
//! back, also over a restart), and the cloud's `Date` header. The cloud outranks the others: what it confirms is
//! believed and what it denies is not, whatever happened before. A doubt never wears off by itself: it ends when the
//! clock is set right or the cloud agrees, after two sane readings in a row, and until then nothing is started, counted
//! as missed or trusted for later. A clock from before this program was written is refused at the start.

use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::Instant;

/// Most that the wall clock may differ from the monotonic clock since the anchor (safety.md, clock faults).
pub const JUMP: TimeDelta = TimeDelta::seconds(60);

/// Most that the cloud's clock may differ from ours (safety.md, clock faults). Also how far behind its own past the
/// clock may be, as time services correct small errors backwards.
pub const CLOUD_DIFFERENCE: TimeDelta = TimeDelta::minutes(5);

/// Sane readings in a row that end a doubt.
pub const SANE_READINGS: u32 = 2;

/// Longest pause of the worker after which its clock is believed without the cloud's word: a restart or an upgrade.
/// Nothing else tells a machine that was off for a day from one whose clock is a day ahead.
pub const UNWITNESSED: TimeDelta = TimeDelta::hours(1);

/// How long one anchor serves. Clocks that drift less than a minute in this time are not worth a doubt.
const ANCHOR_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// 2025-01-01 UTC; no state file of this program is older, and clocks without a battery wake up in 1970.
const PROGRAM_BEGAN: i64 = 1_735_689_600;

/// What the daemon saw at one tick.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The wall clock.
    pub wall: Instant,
    /// Monotonic time since any fixed point in this process.
    pub monotonic: Duration,
    /// The cloud's own time minus ours, from the latest `Date` header since the last reading.
    pub cloud_ahead: Option<TimeDelta>,
}

/// What may be done by this clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Everything.
    Sane,
    /// Nothing is started until the clock was sane for [`SANE_READINGS`] readings in a row.
    Doubt(String),
    /// Nothing is started either: the clock stands before an instant that this state already trusted, and the cloud
    /// has not said which of the two is right. Worth a freeze, for a person must look.
    Behind(String),
}

/// The guard's memory.
#[derive(Clone, Debug)]
pub struct ClockGuard {
    mark: Option<Instant>,
    /// What the time really was, as far as is known, at a monotonic instant.
    anchor: Option<(Instant, Duration)>,
    doubt: Option<(String, u32)>,
}

impl ClockGuard {
    /// A guard that knows the state's high-water mark (`None`: a fresh state).
    pub fn new(mark: Option<Instant>) -> ClockGuard {
        ClockGuard { mark, anchor: None, doubt: None }
    }

    /// Why the program must not start by this clock; `None` when it may.
    pub fn refuses_start(now: Instant) -> Option<String> {
        (now.timestamp() < PROGRAM_BEGAN).then(|| {
            format!(
                "the clock says {}, which is before this program was written; set the clock (for example by NTP) and \
                 start again",
                now.format("%Y-%m-%d %H:%M:%S UTC")
            )
        })
    }

    /// Takes the state's mark as it is on file: a person may have lowered it by `unfreeze`.
    pub fn know(&mut self, mark: Option<Instant>) {
        self.mark = mark;
    }

    /// Whether this reading cannot be believed without the cloud's word, which is then worth a call.
    pub fn wants_witness(&self, reading: &Reading) -> bool {
        self.doubt.is_some() || self.behind(reading.wall).is_some() || self.odd(reading).is_some()
    }

    /// Takes one reading and says what may be done now.
    pub fn observe(&mut self, reading: Reading) -> Trust {
        let heard = reading.cloud_ahead.is_some();
        if let Some(why) = self.odd(&reading) {
            if let Some(ahead) = reading.cloud_ahead {
                // From now on the clock must agree with what the cloud said, not with its own past.
                self.anchor = Some((reading.wall + ahead, reading.monotonic));
            }
            self.doubt = Some((why, 0));
        } else {
            let behind = self.behind(reading.wall);
            // Before its own past only the cloud's word counts for the clock.
            if heard || behind.is_none() {
                match (&mut self.doubt, behind) {
                    (Some((_, sane)), _) => *sane += 1,
                    // The cloud agrees with the clock, so the mark was wrong. One answer might be a stray one.
                    (doubt, Some(mark)) => *doubt = Some((format!("{}, and the cloud denies it", past(mark)), 1)),
                    (None, None) => {}
                }
            }
            if self.doubt.take_if(|(_, sane)| *sane >= SANE_READINGS).is_some() && heard {
                self.mark = self.mark.min(Some(reading.wall));
            }
            let life = self.anchor.map(|(_, since)| reading.monotonic.saturating_sub(since));
            if heard || life.map_or(self.behind(reading.wall).is_none(), |life| life >= ANCHOR_LIFE) {
                self.anchor = Some((reading.wall, reading.monotonic));
            }
        }
        if let Some((why, sane)) = &self.doubt {
            return Trust::Doubt(format!("{why}; {} more sane readings are needed", SANE_READINGS - sane));
        }
        match self.behind(reading.wall) {
            Some(mark) => Trust::Behind(format!(
                "the clock says {}, but {}; correct the clock, or unfreeze when it is right and was wrong before",
                show(reading.wall),
                past(mark)
            )),
            None => {
                self.mark = self.mark.max(Some(reading.wall));
                Trust::Sane
            }
        }
    }

    /// The highest instant trusted so far, to be kept in the state. It goes back only when the cloud contradicted it.
    pub fn mark(&self) -> Option<Instant> {
        self.mark
    }

    /// The mark, when the clock stands clearly before it.
    fn behind(&self, wall: Instant) -> Option<Instant> {
        self.mark.filter(|mark| *mark - wall > CLOUD_DIFFERENCE)
    }

    /// What contradicts the wall clock, if anything does.
    fn odd(&self, reading: &Reading) -> Option<String> {
        if let Some(ahead) = reading.cloud_ahead.filter(|ahead| ahead.abs() > CLOUD_DIFFERENCE) {
            let side = if ahead > TimeDelta::zero() { "behind" } else { "ahead of" };
            return Some(format!("the clock is {} s {side} the cloud's", ahead.abs().num_seconds()));
        }
        if let Some(why) = ClockGuard::refuses_start(reading.wall) {
            return Some(why);
        }
        if reading.cloud_ahead.is_some() {
            return None;
        }
        let Some((wall, monotonic)) = self.anchor else { return self.long_pause(reading.wall) };
        let real = TimeDelta::from_std(reading.monotonic.saturating_sub(monotonic)).unwrap_or(TimeDelta::MAX);
        let jump = reading.wall - wall - real;
        (jump.abs() > JUMP).then(|| {
            let (side, seconds) = (if jump > TimeDelta::zero() { "forward" } else { "back" }, jump.abs().num_seconds());
            format!("the clock went {side} by {seconds} s against the machine's running time and nothing confirms it")
        })
    }

    /// A start long after the state was last used: or by a clock that is ahead.
    fn long_pause(&self, wall: Instant) -> Option<String> {
        let mark = self.mark.filter(|mark| wall - *mark > UNWITNESSED)?;
        Some(format!("the clock says {}, {}, and the cloud has not confirmed it since", show(wall), past(mark)))
    }
}

fn past(mark: Instant) -> String {
    format!("this state was already used at {}", show(mark))
}

fn show(at: Instant) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    /// A clock that the test moves: a minute of real time passes at each reading.
    struct Machine {
        guard: ClockGuard,
        wall: Instant,
        minutes: u64,
    }

    impl Machine {
        fn new(mark: Option<&str>) -> Machine {
            Machine { guard: ClockGuard::new(mark.map(at)), wall: at("2026-11-23T09:00:00Z"), minutes: 0 }
        }

        /// One real minute passes; the wall clock moves by that and `extra` seconds.
        fn minute(&mut self, extra: i64) -> Trust {
            self.minutes += 1;
            self.wall += TimeDelta::seconds(60 + extra);
            self.read(None)
        }

        fn read(&mut self, cloud_ahead: Option<TimeDelta>) -> Trust {
            let monotonic = Duration::from_secs(60 * self.minutes);
            self.guard.observe(Reading { wall: self.wall, monotonic, cloud_ahead })
        }
    }

    fn doubt(trust: &Trust) -> bool {
        matches!(trust, Trust::Doubt(_))
    }

    #[test]
    fn a_jump_is_a_doubt_until_the_clock_is_set_right() {
        for jump in [61, -61, 30 * 86_400, -30 * 86_400] {
            let mut machine = Machine::new(None);
            assert_eq!(machine.minute(0), Trust::Sane);
            assert!(doubt(&machine.minute(jump)), "{jump}");
            for _ in 0..600 {
                assert!(doubt(&machine.minute(0)), "{jump}: ten hours make a wrong clock no better");
            }
            assert_eq!(machine.guard.mark(), Some(at("2026-11-23T09:01:00Z")), "{jump}: nothing of it is kept");
            assert!(doubt(&machine.minute(-jump)), "{jump}: one sane reading is not enough");
            assert_eq!(machine.minute(0), Trust::Sane, "{jump}");
        }
        let mut machine = Machine::new(None);
        assert_eq!(
            (machine.minute(0), machine.minute(60), machine.minute(-60)),
            (Trust::Sane, Trust::Sane, Trust::Sane)
        );
    }

    #[test]
    fn a_jump_that_the_cloud_confirms_twice_is_believed() {
        // A machine that was suspended: its running time stood still while the hours went by.
        let mut machine = Machine::new(None);
        machine.minute(0);
        assert!(doubt(&machine.minute(9 * 3_600)));
        let Trust::Doubt(why) = machine.read(Some(TimeDelta::seconds(-2))) else { panic!("one answer was enough") };
        assert!(why.ends_with("nothing confirms it; 1 more sane readings are needed"), "{why}");
        assert_eq!(machine.minute(0), Trust::Sane, "what follows is measured from there");
        assert_eq!(machine.guard.mark(), Some(machine.wall));
    }

    #[test]
    fn another_jump_starts_the_count_again() {
        let mut machine = Machine::new(None);
        machine.minute(0);
        assert!(doubt(&machine.minute(3_600)));
        assert!(doubt(&machine.minute(-3_600)));
        assert!(doubt(&machine.minute(3_600)));
        assert!(doubt(&machine.minute(-3_600)));
        assert_eq!(machine.minute(0), Trust::Sane);
    }

    #[test]
    fn a_stopped_or_drifting_clock_is_noticed_although_no_single_step_is_large() {
        let mut stopped = Machine::new(None);
        stopped.minute(0);
        assert_eq!(stopped.minute(-60), Trust::Sane);
        assert!(doubt(&stopped.minute(-60)));
        let mut drifting = Machine::new(None);
        drifting.minute(0);
        let first = (1..=60).find(|_| doubt(&drifting.minute(5)));
        assert_eq!(first, Some(13), "5 s a minute add up to more than 60 s at the 13th");
    }

    #[test]
    fn a_clock_behind_its_own_past_holds_acts_over_a_restart_and_does_not_lower_the_mark() {
        let mut machine = Machine::new(Some("2026-11-25T09:00:00Z"));
        let Trust::Behind(why) = machine.minute(0) else { panic!("the mark was not heeded") };
        assert_eq!(
            why,
            "the clock says 2026-11-23 09:01:00 UTC, but this state was already used at 2026-11-25 09:00:00 UTC; correct \
             the clock, or unfreeze when it is right and was wrong before"
        );
        assert_eq!(machine.guard.mark(), Some(at("2026-11-25T09:00:00Z")));
        assert!(matches!(machine.minute(0), Trust::Behind(_)), "and time makes it no better");
        // Set right, it is believed; nothing was anchored at the wrong time.
        assert_eq!(machine.minute(2 * 86_400 + 60), Trust::Sane);
        // A correction of less than five minutes is ordinary.
        let mut corrected = Machine::new(Some("2026-11-23T09:05:00Z"));
        assert_eq!(corrected.minute(0), Trust::Sane);
        assert_eq!(corrected.guard.mark(), Some(at("2026-11-23T09:05:00Z")));
    }

    #[test]
    fn a_mark_that_the_cloud_contradicts_twice_comes_down_and_a_person_may_lower_it_too() {
        let mut machine = Machine::new(Some("2026-12-25T09:00:00Z"));
        let Trust::Doubt(why) = machine.read(Some(TimeDelta::seconds(1))) else {
            panic!("one stray answer was enough")
        };
        assert_eq!(
            why,
            "this state was already used at 2026-12-25 09:00:00 UTC, and the cloud denies it; 1 more sane readings are \
             needed"
        );
        assert!(doubt(&machine.minute(0)), "silence is no second answer");
        assert_eq!(machine.guard.mark(), Some(at("2026-12-25T09:00:00Z")));
        assert_eq!(machine.read(Some(TimeDelta::zero())), Trust::Sane);
        assert_eq!(machine.guard.mark(), Some(at("2026-11-23T09:01:00Z")));
        let mut asked = Machine::new(Some("2026-12-25T09:00:00Z"));
        assert!(matches!(asked.minute(0), Trust::Behind(_)));
        asked.guard.know(Some(at("2026-11-23T09:01:30Z")));
        assert_eq!(asked.minute(0), Trust::Sane);
    }

    #[test]
    fn a_start_long_after_the_last_use_waits_for_the_clouds_word() {
        let mut machine = Machine::new(Some("2026-11-20T09:00:00Z"));
        let Trust::Doubt(why) = machine.minute(0) else { panic!("three days were believed") };
        assert_eq!(
            why,
            "the clock says 2026-11-23 09:01:00 UTC, this state was already used at 2026-11-20 09:00:00 UTC, and the cloud \
             has not confirmed it since; 2 more sane readings are needed"
        );
        assert!(doubt(&machine.minute(0)));
        assert_eq!(machine.guard.mark(), Some(at("2026-11-20T09:00:00Z")));
        assert!(doubt(&machine.read(Some(TimeDelta::seconds(3)))));
        assert_eq!(machine.minute(0), Trust::Sane);
        // An upgrade takes minutes: nobody need be asked.
        assert_eq!(Machine::new(Some("2026-11-23T08:30:00Z")).minute(0), Trust::Sane);
    }

    #[test]
    fn the_clouds_clock_is_a_witness_whose_word_holds_until_it_takes_it_back() {
        let mut machine = Machine::new(None);
        machine.minute(0);
        assert_eq!(machine.read(Some(TimeDelta::minutes(5))), Trust::Sane);
        let Trust::Doubt(why) = machine.read(Some(TimeDelta::seconds(-301))) else { panic!("not heeded") };
        assert_eq!(why, "the clock is 301 s ahead of the cloud's; 2 more sane readings are needed");
        assert!(doubt(&machine.minute(0)) && doubt(&machine.minute(0)), "silence takes nothing back");
        assert!(doubt(&machine.minute(-301)), "set right");
        assert_eq!(machine.minute(0), Trust::Sane);
    }

    #[test]
    fn a_witness_is_wanted_when_something_speaks_against_the_clock() {
        let mut machine = Machine::new(None);
        machine.minute(0);
        let reading = |seconds: i64, minutes: u64| Reading {
            wall: at("2026-11-23T09:01:00Z") + TimeDelta::seconds(seconds),
            monotonic: Duration::from_secs(60 * minutes),
            cloud_ahead: None,
        };
        assert!(!machine.guard.wants_witness(&reading(60, 2)));
        assert!(machine.guard.wants_witness(&reading(360, 2)) && machine.guard.wants_witness(&reading(-360, 2)));
        machine.minute(400);
        assert!(machine.guard.wants_witness(&reading(120, 3)), "and until the doubt is over");
    }

    #[test]
    fn a_boot_in_1970_is_refused() {
        let why = ClockGuard::refuses_start(at("1970-01-01T00:00:07Z")).unwrap();
        assert!(why.starts_with("the clock says 1970-01-01 00:00:07 UTC, which is before this program"), "{why}");
        assert_eq!(ClockGuard::refuses_start(at("2026-11-23T09:00:00Z")), None);
        let mut machine = Machine::new(None);
        machine.wall = at("1970-01-01T00:00:00Z");
        assert!(doubt(&machine.minute(0)));
    }
}
