//! What the daemon's slots and the commands do, one file each.

pub mod act;
pub mod announce;
pub mod costs;
pub mod drill;
pub mod expire;
pub mod notices;
pub mod plan;
pub mod report;
pub mod scan;
pub mod undo;
