//! Leases with fence numbers: acting (one a run) and scanning (one a partition).
//!
//! A fence number is given once and only ever grows. Whoever holds an older one was overtaken, however sure it is of
//! itself; the journal checks the number in the transaction that it guards, not the clock.

use chrono::TimeDelta;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Fault, Inner};
use super::{Result, Store, row};
use crate::domain::Instant;

/// The lease that every act needs.
pub const ACTING_LEASE: &str = "acting";

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// Who, for people; empty after a release.
    pub holder: String,
    /// The number that was given last.
    pub fence: i64,
    /// When another worker may take it.
    pub expires_at: Instant,
}

impl Store {
    /// Takes a lease that is free, expired (`expires_at <= now`) or the holder's own already, and returns its new
    /// fence number, one more than any before; `None` while another holds it.
    pub fn acquire(&self, name: &str, holder: &str, ttl: TimeDelta, now: Instant) -> Result<Option<i64>> {
        self.write(format_args!("taking the lease {name:?}"), |transaction| {
            if holder.is_empty() {
                return Err(Fault::Refused("a lease needs a holder's name".into()));
            }
            let last = lease(transaction, name)?;
            let fence = match last {
                Some(last) if !last.holder.is_empty() && last.holder != holder && last.expires_at > now => {
                    return Ok(None);
                }
                Some(last) => last.fence + 1,
                None => 1,
            };
            transaction
                .prepare_cached(
                    "INSERT INTO lease (name, holder, fence, expires_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (name) DO UPDATE SET holder = ?2, fence = ?3, expires_at = ?4",
                )?
                .execute(params![name, holder, fence, row::micros(now + ttl)])?;
            Ok(Some(fence))
        })
    }

    /// Holds a lease longer; false when it was taken over or released.
    pub fn renew(&self, name: &str, holder: &str, fence: i64, ttl: TimeDelta, now: Instant) -> Result<bool> {
        self.write(format_args!("renewing the lease {name:?}"), |transaction| {
            let changed = transaction
                .prepare_cached("UPDATE lease SET expires_at = ?4 WHERE name = ?1 AND holder = ?2 AND fence = ?3")?
                .execute(params![name, holder, fence, row::micros(now + ttl)])?;
            Ok(changed == 1)
        })
    }

    /// Gives a lease back; its fence is stale from now on. False when it was not held any more.
    pub fn release(&self, name: &str, holder: &str, fence: i64) -> Result<bool> {
        self.write(format_args!("releasing the lease {name:?}"), |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE lease SET holder = '', expires_at = 0 WHERE name = ?1 AND holder = ?2 AND fence = ?3",
                )?
                .execute(params![name, holder, fence])?;
            Ok(changed == 1)
        })
    }

    /// The fence number that a lease's holder has now; `None` when nobody holds it.
    pub fn lease_fence(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.lease(name)?.filter(|lease| !lease.holder.is_empty()).map(|lease| lease.fence))
    }

    /// A lease's row, if it was ever taken.
    pub fn lease(&self, name: &str) -> Result<Option<Lease>> {
        self.read(format_args!("reading the lease {name:?}"), |connection| lease(connection, name))
    }
}

/// Refuses a fence that is not the one of the lease's present holder. An expired lease that nobody took over still
/// passes: nobody else can have acted under a newer number.
pub(super) fn check_fence(connection: &Connection, name: &str, given: i64) -> Inner<()> {
    let current = lease(connection, name)?.filter(|lease| !lease.holder.is_empty()).map(|lease| lease.fence);
    if current == Some(given) || planted!("drop-the-fence") {
        Ok(())
    } else {
        Err(Fault::StaleFence { lease: name.to_owned(), given, current })
    }
}

fn lease(connection: &Connection, name: &str) -> Inner<Option<Lease>> {
    let row = connection
        .prepare_cached("SELECT holder, fence, expires_at FROM lease WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)))
        .optional()?;
    row.map(|(holder, fence, expires_at)| {
        Ok(Lease { name: name.to_owned(), holder, fence, expires_at: row::instant(expires_at)? })
    })
    .transpose()
}
