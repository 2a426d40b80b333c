//! Requests made to the cloud, by UTC day: what the program itself costs, and its own daily limits.

use chrono::NaiveDate;
use rusqlite::params;

use super::{Result, Store, row};
use crate::domain::money::Usd;
use crate::domain::scan::RequestCount;

impl Store {
    /// Adds to a day's counts. An amount stays unknown once any part of it is.
    pub fn add_requests(&self, day: NaiveDate, counts: &[RequestCount]) -> Result<()> {
        self.write(format_args!("counting the requests of {day}"), |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO request_day (day, service, operation, count, retries, usd) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (day, service, operation)
                 DO UPDATE SET count = count + ?4, retries = retries + ?5, usd = usd + ?6",
            )?;
            for row in counts {
                statement.execute(params![
                    day.to_string(),
                    row.service,
                    row.operation,
                    row::count(row.count),
                    row::count(row.retries),
                    row.usd.map(|usd| usd.0)
                ])?;
            }
            Ok(())
        })
    }

    /// Sums by service and operation from `from` to `to`, both days included.
    pub fn requests_between(&self, from: NaiveDate, to: NaiveDate) -> Result<Vec<RequestCount>> {
        self.read(format_args!("reading the requests from {from} to {to}"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT service, operation, SUM(count), SUM(retries), CASE COUNT(usd) WHEN COUNT(*) THEN SUM(usd) END
                 FROM request_day WHERE day BETWEEN ?1 AND ?2
                 GROUP BY service, operation ORDER BY service, operation",
            )?;
            let rows = statement.query_map([from.to_string(), to.to_string()], |row| {
                Ok(RequestCount {
                    service: row.get(0)?,
                    operation: row.get(1)?,
                    count: row::uncount(row.get(2)?),
                    retries: row::uncount(row.get(3)?),
                    usd: row.get::<_, Option<i64>>(4)?.map(Usd),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Attempts at one service on a day, retries included: each may be billed.
    pub fn requests_on(&self, day: NaiveDate, service: &str) -> Result<u64> {
        self.read(format_args!("reading the requests of {day}"), |connection| {
            let sum: i64 = connection
                .prepare_cached(
                    "SELECT COALESCE(SUM(count + retries), 0) FROM request_day WHERE day = ?1 AND service = ?2",
                )?
                .query_row([day.to_string().as_str(), service], |row| row.get(0))?;
            Ok(row::uncount(sum))
        })
    }
}
