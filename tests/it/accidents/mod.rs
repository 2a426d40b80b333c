//! Accidents that happened to others, replayed: the same inputs, the same fault, and what must hold here.
//!
//! Each test bears the name of the public thread that tells the incident. The first lines above it say in our words what
//! happened there; the rest is the world of `story` and the assertion that this program refuses or degrades safely,
//! judged from the simulated cloud's log where acts are concerned. `docs/safety.md` tells how many;
//! `ledger` holds the list of threads that the safety design names, and why one of them cannot be replayed.

mod custodian_limits;
mod custodian_reads;
mod custodian_reports;
mod custodian_time;
mod exclusions;
mod ledger;
mod libraries;
mod nukes;
mod sagas;
mod schedulers;
pub mod story;
