//! The AWS adapter against a server that speaks AWS's protocols: the real SDK, real sockets, moto behind our front.
//!
//! What is asserted is what the adapter says and, for everything that acts or retries, what the cloud's own log saw.

mod accounts;
mod acting;
mod ambient;
mod answers;
mod clock;
mod costs;
mod failures;
mod keys;
mod kinds;
mod metrics;
mod network;
mod odd;
mod rights;
mod storage;

use costwarden::cloud::{CloudError, CloudRead, read_partition};
use costwarden::domain::place::Partition;
use costwarden::domain::resource::Resource;

/// A partition read to its end: what arrived, in how many pages, and what ended it early.
async fn read(reader: &dyn CloudRead, partition: &Partition) -> (Vec<Resource>, u32, Option<CloudError>) {
    let mut resources = Vec::new();
    let (pages, error) = read_partition(reader, partition, |page| resources.extend(page)).await;
    (resources, pages, error)
}

/// The ids of resources, sorted.
fn ids(resources: &[Resource]) -> Vec<&str> {
    let mut ids: Vec<&str> = resources.iter().map(|resource| &*resource.key.id).collect();
    ids.sort_unstable();
    ids
}

/// Ids as the tests hold them, sorted.
fn sorted(ids: &[String]) -> Vec<&str> {
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    ids
}
