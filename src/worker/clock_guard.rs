//! Whether the machine's clock can be believed. Pure: the daemon feeds it and obeys it.
//!
//! Grace periods, windows and slots are instants, so a wrong clock is a way to act too early. Three witnesses are
//! compared with the wall clock: the monotonic clock since the last good reading (a jump, a stopped clock, drift), the
//! highest instant that this state file has ever trusted (a clock set back, also over a restart), and the cloud's
//! `Date` header where one was seen. A doubt holds all slots until two sane readings in a row; a clock behind its own
//! past holds acts for as long as it lasts and is worth a freeze. A clock from before this program was written is
//! refused at the start.

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
    /// The clock runs evenly but stands before an instant that this state already trusted: reading goes on, acting
    /// needs a person.
    Behind(String),
}

/// The guard's memory.
#[derive(Clone, Debug)]
pub struct ClockGuard {
    mark: Option<Instant>,
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

    /// Takes one reading and says what may be done now.
    pub fn observe(&mut self, reading: Reading) -> Trust {
        match self.odd(&reading) {
            Some(why) => {
                self.doubt = Some((why, 0));
                self.anchor = Some((reading.wall, reading.monotonic));
            }
            None => {
                if let Some((_, sane)) = &mut self.doubt {
                    *sane += 1;
                }
                self.doubt.take_if(|(_, sane)| *sane >= SANE_READINGS);
                let life = self.anchor.map(|(_, since)| reading.monotonic.saturating_sub(since));
                if life.is_none_or(|life| life >= ANCHOR_LIFE) {
                    self.anchor = Some((reading.wall, reading.monotonic));
                }
            }
        }
        if let Some((why, sane)) = &self.doubt {
            return Trust::Doubt(format!("{why}; {} more sane readings are needed", SANE_READINGS - sane));
        }
        match self.mark {
            Some(mark) if mark - reading.wall > CLOUD_DIFFERENCE => Trust::Behind(format!(
                "the clock says {}, but this state was already used at {}; correct the clock, or unfreeze when it is \
                 right and was wrong before",
                show(reading.wall),
                show(mark)
            )),
            mark => {
                self.mark = mark.max(Some(reading.wall));
                Trust::Sane
            }
        }
    }

    /// The highest instant trusted so far, to be kept in the state.
    pub fn mark(&self) -> Option<Instant> {
        self.mark
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
        let (wall, monotonic) = self.anchor?;
        let real = TimeDelta::from_std(reading.monotonic.saturating_sub(monotonic)).unwrap_or(TimeDelta::MAX);
        let moved = reading.wall - wall;
        let jump = moved - real;
        (jump.abs() > JUMP).then(|| {
            let side = if jump > TimeDelta::zero() { "forward" } else { "back" };
            format!("the clock went {side} by {} s against the machine's running time", jump.abs().num_seconds())
        })
    }
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
    fn a_jump_of_more_than_a_minute_is_a_doubt_until_two_sane_readings() {
        for jump in [61, -61, 30 * 86_400, -4 * 60] {
            let mut machine = Machine::new(None);
            assert_eq!(machine.minute(0), Trust::Sane);
            assert!(doubt(&machine.minute(jump)), "{jump}");
            assert!(doubt(&machine.minute(0)), "{jump}");
            assert_eq!(machine.minute(0), Trust::Sane, "{jump}");
        }
        let mut machine = Machine::new(None);
        assert_eq!(
            (machine.minute(0), machine.minute(60), machine.minute(-60)),
            (Trust::Sane, Trust::Sane, Trust::Sane)
        );
    }

    #[test]
    fn another_jump_starts_the_count_again() {
        let mut machine = Machine::new(None);
        machine.minute(0);
        assert!(doubt(&machine.minute(3_600)));
        assert!(doubt(&machine.minute(0)));
        assert!(doubt(&machine.minute(3_600)));
        assert!(doubt(&machine.minute(0)));
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
        // A correction of less than five minutes is ordinary.
        let mut corrected = Machine::new(Some("2026-11-23T09:05:00Z"));
        assert_eq!(corrected.minute(0), Trust::Sane);
        assert_eq!(corrected.guard.mark(), Some(at("2026-11-23T09:05:00Z")));
    }

    #[test]
    fn a_jump_forward_does_not_raise_the_mark_while_it_is_doubted() {
        let mut machine = Machine::new(None);
        machine.minute(0);
        assert!(doubt(&machine.minute(86_400)));
        assert_eq!(machine.guard.mark(), Some(at("2026-11-23T09:01:00Z")));
        assert!(doubt(&machine.minute(-86_400)));
        assert!(doubt(&machine.minute(0)));
        assert_eq!(machine.minute(0), Trust::Sane, "set right again, and nothing of the jump remains");
        assert_eq!(machine.guard.mark(), Some(at("2026-11-23T09:05:00Z")));
    }

    #[test]
    fn the_clouds_clock_is_a_witness() {
        let mut machine = Machine::new(None);
        machine.minute(0);
        assert_eq!(machine.read(Some(TimeDelta::minutes(5))), Trust::Sane);
        let Trust::Doubt(why) = machine.read(Some(TimeDelta::seconds(-301))) else { panic!("not heeded") };
        assert_eq!(why, "the clock is 301 s ahead of the cloud's; 2 more sane readings are needed");
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
