//! Restore drills (H14): each of their two calls in the moment in which it is asked for, and what is left of them at the
//! end. They are no act on anybody's resources: no finding, notice or pace stands behind them, and all the more they may
//! touch nothing but the volume that their own call made.

use chrono::{DateTime, TimeDelta};
use costwarden::cloud::sim::ChangeRecord;
use costwarden::cloud::{Answer, Call, CloudError};
use costwarden::domain::drill::{Drill, DrillState};
use costwarden::domain::place::Place;
use costwarden::domain::resource::Resource;
use costwarden::remediate::{DRILL_TAG, KEY_TAG, PROTECT_TAG};

use super::calls::{foreign_credentials, out_of_hours};
use super::made::stopped;
use crate::director::Director;
use crate::run::STATE_ID;

/// What drills are counted under: volumes that were made of a snapshot and are gone again.
pub const DRILLS: &str = "drills";

/// A request of a drill.
pub struct Drilling {
    /// The mark of its volume, by which it is known.
    pub mark: String,
    makes: bool,
    calls: usize,
}

/// Judges a request if it is a drill's; `None` otherwise.
pub fn before(director: &Director, process: u32, place: &Place, call: &Call) -> Option<Drilling> {
    let row = director.store.open_drill().ok().flatten();
    let state_id = director.store.state_id().unwrap_or_default();
    let own = row.as_ref().map(|row| format!("{state_id}-d{}", row.id)).unwrap_or_default();
    let about = |why: String| format!("{} on {}: {why}", call.operation(), call.target());
    let (mark, makes, intended, wrong) = match call {
        Call::MakeDrill(new) => {
            let intended = row.as_ref().is_some_and(|row| {
                let asked = row.state == DrillState::Intended && row.made.is_none();
                asked && *row.snapshot.id == *new.snapshot.as_str() && new.token == own
            });
            let marked = new.tags.iter().any(|(key, value)| key == DRILL_TAG && *value == new.token);
            let wrong =
                if marked { no_second(director, &new.token, new.snapshot.as_str()) } else { Some("no mark".into()) };
            (new.token.clone(), true, intended, wrong)
        }
        Call::EndDrill { volume } => {
            let intended = row.as_ref().is_some_and(|row| {
                let made = row.made.as_ref().is_some_and(|made| *made.id == *volume.as_str());
                row.state == DrillState::Ending && made
            });
            (own.clone(), false, intended, not_its_own(director, &own, volume.as_str()))
        }
        _ => return None,
    };
    director.judge("I03", (!intended).then(|| about(format!("the open drill is {row:?}"))));
    let twice = makes && director.with(|inner| inner.book.drills.contains_key(&mark));
    director.judge("I02", twice.then(|| about(format!("{mark} asked for its volume already"))));
    director.judge("H14", wrong.map(about));
    let fence = row.as_ref().map_or(0, |row| row.fence);
    for (invariant, broken) in stopped(director, fence) {
        director.judge(invariant, broken.map(about));
    }
    let holder = director.with(|inner| *inner.book.fences.entry(fence).or_insert(process));
    let other = (holder != process).then(|| about(format!("workers {holder} and {process} act under fence {fence}")));
    director.judge("I12", other);
    director.judge("I06", out_of_hours(director).map(about));
    director.judge("I09", not_there(director, place, row.as_ref()).map(about));
    let now = director.truth.now();
    if makes {
        director.judge("H14", too_soon(director).map(about));
        director.with(|inner| _ = inner.book.drills.insert(mark.clone(), now));
    }
    Some(Drilling { mark, makes, calls: director.cloud.call_count() })
}

/// Takes down what became of it, whatever the answer said.
pub fn after(director: &Director, drilling: &Drilling, _: &Result<Answer, CloudError>) {
    let record = director.cloud.calls_since(drilling.calls).into_iter().find(|own| own.mutating() && own.effective);
    if record.is_none() {
        return;
    }
    let made: Vec<String> = director.cloud.truth(|truth| {
        let marked =
            truth.resources().filter(|own| own.volume().is_some() && own.tag(DRILL_TAG) == Some(&drilling.mark));
        marked.map(|own| own.key.id.to_string()).collect()
    });
    director.with(|inner| {
        if drilling.makes {
            inner.book.drill_volumes.extend(made.into_iter().map(|id| (id, drilling.mark.clone())));
        } else {
            inner.tally.did(DRILLS, 1);
        }
    });
}

/// Ends of which people are told with the volume's id: it is theirs to look for. EC2 shows nothing of a volume that it
/// could not make, and nothing, for a while, of one that it hides.
const GIVEN_OVER: [DrillState; 2] = [DrillState::Unclear, DrillState::Failed];

/// A drill is made of a safety snapshot, and while no volume of another one is there that nobody was told of.
fn no_second(director: &Director, mark: &str, snapshot: &str) -> Option<String> {
    let ours = director.cloud.truth(|truth| {
        let marked = |own: &Resource| own.tag(KEY_TAG).is_some_and(|mark| mark.starts_with(STATE_ID));
        truth.resource(snapshot).is_none_or(marked)
    });
    if !ours {
        return Some("it is no safety snapshot of ours".to_owned());
    }
    let all = all(director);
    let left = left(director).into_iter().find(|(_, other)| {
        let given_over = of_mark(&all, other).is_some_and(|row| GIVEN_OVER.contains(&row.state));
        other != mark && !given_over
    });
    left.map(|(volume, other)| {
        let row = of_mark(&all, &other).map(|row| (row.state, &row.message));
        format!("{volume} of {other} is there as well: {row:?}")
    })
}

/// What is deleted was made by this drill's own call, is used by nobody and protected by nobody.
fn not_its_own(director: &Director, mark: &str, volume: &str) -> Option<String> {
    match director.with(|inner| inner.book.drill_volumes.get(volume).cloned()) {
        None => return Some("no drill made it".to_owned()),
        Some(other) if other != mark => return Some(format!("{other} made it, not {mark}")),
        Some(_) => {}
    }
    let horizon = director.scene.lag + TimeDelta::seconds(62);
    let now = director.truth.now();
    let lately = |own: &ChangeRecord| own.target == volume && now - own.at <= horizon;
    if director.cloud.changes().iter().any(lately) {
        return None;
    }
    director.cloud.truth(|truth| {
        let own = truth.resource(volume)?;
        let used = own.volume().is_some_and(|own| !own.attachments.is_empty());
        let kept = own.tag(PROTECT_TAG).is_some_and(|value| value != "false");
        (used || kept).then(|| format!("in use: {used}, protected: {kept}"))
    })
}

/// Its place is listed and its account armed, and the credentials have been that account's.
fn not_there(director: &Director, place: &Place, row: Option<&Drill>) -> Option<String> {
    let mut accounts = director.scene.settings.accounts.iter();
    let listed = accounts.any(|own| own.id == place.account && own.regions.contains(&place.region));
    let there = row.is_none_or(|row| row.snapshot.partition.place == *place);
    let armed = director.with(|inner| inner.book.armed.contains_key(&place.account));
    if foreign_credentials(director) {
        return Some("the acting credentials were another account's for a quarter of an hour".to_owned());
    }
    (!(listed && there && armed)).then(|| format!("{place}: listed {listed}, the drill's {there}, armed {armed}"))
}

/// The last one was begun long enough ago, by a clock that nobody moved.
fn too_soon(director: &Director) -> Option<String> {
    let every = TimeDelta::days(i64::from(director.scene.settings.drill_every_days)) - TimeDelta::hours(2);
    let now = director.truth.now();
    let (last, jumped) = director.with(|inner| (inner.book.drills.values().max().copied(), inner.book.jumped_at));
    let last = last.filter(|last| jumped.is_none() && now - *last < every);
    last.map(|last| format!("the last drill was made at {last}"))
}

/// No volume is left but one whose drill goes on, or of which people were told.
pub fn ended(director: &Director) {
    if director.scene.settings.drill_every_days == 0 {
        return;
    }
    let (all, end) = (all(director), director.scene.end);
    for row in &all {
        director.with(|inner| inner.tally.did(format!("drill {}", row.state.word()), 1));
        let open = !row.state.ended() && end - row.begun_at > SETTLED;
        director.judge("H14", open.then(|| format!("d-{} of {} is {}", row.id, row.begun_at, row.message)));
        let made = director.with(|inner| inner.book.drill_volumes.values().any(|mark| of_mark_is(mark, row)));
        let passed = row.state == DrillState::Passed && !made;
        director.judge("I18", passed.then(|| format!("d-{} passed and made nothing", row.id)));
    }
    let dead = director.store.dead_letters().unwrap_or_default();
    for (volume, mark) in left(director) {
        let row = of_mark(&all, &mark);
        let goes_on = row.is_some_and(|row| !row.state.ended());
        let known = |text: &str| text.contains(&volume) || text.contains(&mark);
        let told = director.with(|inner| inner.book.alerts.iter().any(|(_, text)| known(text)))
            || dead.iter().any(|own| known(&own.message));
        let words = || format!("{volume} is left, nobody was told: {:?}", row.map(|row| (row.state, &row.message)));
        director.judge("H14", (!goes_on && !told).then(words));
    }
}

/// How long before the end a drill that is still open may have begun.
const SETTLED: TimeDelta = TimeDelta::days(8);

/// Volumes of drills that are there in truth, each with its mark.
fn left(director: &Director) -> Vec<(String, String)> {
    let made: Vec<(String, String)> =
        director.with(|inner| inner.book.drill_volumes.iter().map(|(id, mark)| (id.clone(), mark.clone())).collect());
    director.cloud.truth(|truth| {
        let there = |id: &String| {
            let state = truth.resource(id).map(Resource::state);
            state.is_some_and(|state| !matches!(state, "deleting" | "deleted"))
        };
        made.into_iter().filter(|(id, _)| there(id)).collect()
    })
}

fn all(director: &Director) -> Vec<Drill> {
    director.store.drills_since(DateTime::UNIX_EPOCH).unwrap_or_default()
}

fn of_mark<'a>(all: &'a [Drill], mark: &str) -> Option<&'a Drill> {
    all.iter().find(|row| of_mark_is(mark, row))
}

fn of_mark_is(mark: &str, row: &Drill) -> bool {
    mark.rsplit_once("-d").is_some_and(|(_, id)| id == row.id.to_string())
}
