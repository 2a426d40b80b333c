//! The invariants, judged from the account's own truth and log, the mails that were really taken, and what people really
//! did. The state file is read where an invariant speaks of it: that an intent was committed, that a finding stayed.
//!
//! `calls` judges each change in the moment in which it is asked for, with `made` for what only some acts need, `keys` and
//! `claims` for what stands beside the resource, `breaker` for what a policy fell due on, `parts` the later calls of an act
//! of several, `undos` what takes an act back, `drills` the volumes of restore drills, `nights` each scan, report (with
//! `reports`) and slot, `ends` the whole. `book` is what is known without the program.

pub mod book;
pub mod breaker;
pub mod calls;
pub mod claims;
pub mod drills;
pub mod ends;
pub mod keys;
pub mod made;
pub mod nights;
pub mod parts;
pub mod reports;
pub mod undos;

/// The invariants with what each says, in a few words.
pub const INVARIANTS: [(&str, &str); 23] = [
    ("I01", "no change without completed snapshots of every volume"),
    ("I02", "one request per act, one effective change per resource in seven days"),
    ("I03", "a committed intent with equal arguments and the present fence before each request"),
    ("I04", "incomplete partitions lead to nothing"),
    ("I05", "what changed since the plan is left alone"),
    ("I06", "nothing before its notice, its grace, its window and its mode"),
    ("I07", "nothing under an exception or without the people's word"),
    ("I08", "pace and breaker hold"),
    ("I09", "only armed accounts, listed Regions and fitting ids"),
    ("I10", "nothing that is not waste in truth"),
    ("I11", "a dry run changes nothing"),
    ("I12", "one worker per fence, none with a stale one"),
    ("I13", "protected, managed and fragile resources get no request"),
    ("I14", "safety snapshots are kept"),
    ("I15", "every act ends, and what is stuck is told"),
    ("I16", "the audit chain verifies"),
    ("I17", "no mail is lost, none doubled without a lost answer"),
    ("I18", "reports equal the truth"),
    ("I19", "each slot once, none forgotten"),
    ("I20", "what is due is done once nothing hinders it"),
    ("I21", "a freeze holds before the next request"),
    ("I22", "queues stay bounded"),
    ("H14", "a restore drill makes one volume, deletes that alone, and leaves none"),
];
