//! What a whole scan costs, beside the bare SDK reading the same answers (product.md, "Numbers").
//!
//! `cargo bench --bench scan` measures 220,000 resources; `-- --quick` a few thousand (requests and findings are
//! checked, ratios only shown), `-- --long` adds a million. A loopback server answers from a process of its own, and
//! each measured reading runs in one of its own as well, so that CPU and peak memory are of nothing else. Ends with 1
//! when a bound is missed.

#[path = "support/account.rs"]
mod account;
#[path = "support/bare.rs"]
mod bare;
#[path = "support/metrics.rs"]
mod metrics;
#[path = "support/ours.rs"]
mod ours;
#[path = "support/process.rs"]
mod process;
#[path = "support/server.rs"]
mod server;
#[path = "support/table.rs"]
mod table;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitCode};
use std::time::Instant;

use account::Account;
use anyhow::{Context, bail, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use process::Used;
use serde::{Deserialize, Serialize};
use table::{Table, tell};

/// CPU of a scan against the bare SDK's.
const MOST_CPU: f64 = 1.5;
/// Peak memory of a scan of 220,000 resources, MiB.
const MOST_MEMORY: f64 = 256.0;
/// The same of a million.
const MOST_MEMORY_AT_A_MILLION: f64 = 1_024.0;
/// CPU a resource at a larger size against the smaller one's.
const MOST_GROWTH: f64 = 1.2;
/// Times that the two readers are run in turn; the median counts.
const ROUNDS: usize = 3;

/// What a measured process prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Measured<T> {
    used: Used,
    seconds: f64,
    what: T,
}

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["serve", instances, volumes] => {
            account_of(instances, volumes).and_then(server::run).map(|()| ExitCode::SUCCESS)
        }
        ["bare", port] => child(port, async |config| bare::read(&config).await),
        ["night", port, folder, number] => {
            child(port, async |config| ours::night(config, Path::new(folder), number.parse()?).await)
        }
        [] => bench(Account { instances: 100_000, volumes: 120_000 }, false),
        ["--quick"] => quick(),
        ["--long"] => bench(Account { instances: 100_000, volumes: 120_000 }, true),
        _ => Err(anyhow::anyhow!("unknown arguments {words:?}; accepted: --quick or --long")),
    };
    done.unwrap_or_else(|error| {
        tell(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// Every bound, at full size.
fn bench(account: Account, long: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::default();
    let server = Server::start(account)?;
    let state = tempfile::tempdir()?;
    let (mut bare, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let folder = state.path().join(format!("round-{round}"));
        bare.push(server.bare()?);
        first.push(server.night(&folder, 1)?);
        second.push(server.night(&folder, 2)?);
        tell(&format!(
            "round {round}: bare {}, first night {}, second night {}",
            shown(&bare[round - 1]),
            shown(&first[round - 1]),
            shown(&second[round - 1])
        ));
    }
    let folder = state.path().join("round-1");
    check_findings(&folder, &account)?;
    let (bare, first, second) = (median(bare), median(first), median(second));
    let resources = account.resources() as f64;
    table.note("resources", grouped(account.resources() as u64));
    table.note("bare SDK, CPU", format!("{:.2} s", bare.used.cpu()));
    table.note("bare SDK, peak memory", format!("{:.0} MiB", bare.used.peak_mib));
    for (name, night) in [("first", &first), ("second", &second)] {
        table.note(&format!("{name} night, CPU"), format!("{:.2} s", night.used.cpu()));
        let ratio = night.used.cpu() / bare.used.cpu();
        let what = format!("{name} night, CPU against the bare SDK");
        table.bound(&what, format!("{ratio:.2} x"), "<= 1.5 x", ratio <= MOST_CPU);
        let what = format!("{name} night, peak memory");
        let peak = night.used.peak_mib;
        table.bound(&what, format!("{peak:.0} MiB"), "<= 256 MiB", peak <= MOST_MEMORY);
    }
    requests(&mut table, &account, &bare.what, &first.what);
    table.note("state after two nights", format!("{:.1} MiB", process::size_of(&folder)? as f64 / 1_048_576.0));
    drop(server);

    let small = sized(10_000)?;
    let (small_cpu, small_resources) = (small.used.cpu(), small.what.resources as f64);
    let middle = sized(100_000)?;
    let (middle_cpu, middle_resources) = (middle.used.cpu(), middle.what.resources as f64);
    let each = |cpu: f64, resources: f64| cpu / resources * 1e6;
    let mut growth = |what: &str, from: f64, to: f64| {
        table.bound(
            what,
            format!("{:.2} x ({from:.1} -> {to:.1} µs CPU each)", to / from),
            "<= 1.2 x",
            to / from <= MOST_GROWTH,
        );
    };
    growth("growth 10,000 -> 100,000", each(small_cpu, small_resources), each(middle_cpu, middle_resources));
    growth("growth 100,000 -> 222,200", each(middle_cpu, middle_resources), each(first.used.cpu(), resources));
    if long {
        let large = sized(1_000_000)?;
        growth(
            "growth 100,000 -> 1,000,000",
            each(middle_cpu, middle_resources),
            each(large.used.cpu(), large.what.resources as f64),
        );
        let peak = large.used.peak_mib;
        let holds = peak <= MOST_MEMORY_AT_A_MILLION;
        table.bound("a million, peak memory", format!("{peak:.0} MiB"), "<= 1,024 MiB", holds);
    }
    Ok(table.finish())
}

/// The same at a size that takes seconds: what does not depend on the size is judged, the rest is shown.
fn quick() -> anyhow::Result<ExitCode> {
    let account = Account { instances: 5_000, volumes: 6_000 };
    let mut table = Table::default();
    let server = Server::start(account)?;
    let state = tempfile::tempdir()?;
    let folder = state.path().join("state");
    let (bare, first, second) = (server.bare()?, server.night(&folder, 1)?, server.night(&folder, 2)?);
    check_findings(&folder, &account)?;
    table.note("resources", grouped(account.resources() as u64));
    table.note("bare SDK", shown(&bare));
    table.note("first night", shown(&first));
    table.note("second night", shown(&second));
    table.note("CPU against the bare SDK", format!("{:.2} x", first.used.cpu() / bare.used.cpu()));
    requests(&mut table, &account, &bare.what, &first.what);
    Ok(table.finish())
}

/// A first night of about so many resources, instances and volumes in the proportion of the main case.
fn sized(resources: usize) -> anyhow::Result<Measured<ours::Night>> {
    let fixed = Account { instances: 0, volumes: 0 }.resources();
    let instances = (resources - fixed) * 10 / 22;
    let server = Server::start(Account { instances, volumes: resources - fixed - instances })?;
    let state = tempfile::tempdir()?;
    let mut rounds = Vec::new();
    for round in 0..if resources > 250_000 { 1 } else { ROUNDS } {
        rounds.push(server.night(&state.path().join(round.to_string()), 1)?);
    }
    let night = median(rounds);
    tell(&format!("{}: {}", grouped(resources as u64), shown(&night)));
    ensure!(night.what.resources == resources as u64, "{} resources seen of {resources}", night.what.resources);
    Ok(night)
}

/// Pages, and as many metric calls as 500 queries each allow; nothing a resource.
fn requests(table: &mut Table, account: &Account, bare: &bare::Seen, night: &ours::Night) {
    let (measured, candidates) = account.measured();
    let metric_calls = (measured * 3).div_ceil(500) + (candidates * 4).div_ceil(500);
    let count = |operation: &str| night.requests.get(operation).copied().unwrap_or(0) as usize;
    let lists: usize = ["Instances", "Volumes", "Snapshots", "Addresses", "Images"]
        .iter()
        .map(|list| count(&format!("Describe{list}")))
        .sum();
    let all: usize = night.requests.values().sum::<u64>() as usize;
    let expected = account.pages() + metric_calls + 1;
    table.bound(
        "requests (pages + metric calls + 1 identity)",
        format!("{} + {} + {}", lists, count("GetMetricData"), all - lists - count("GetMetricData")),
        &format!("= {} + {metric_calls} + 1", account.pages()),
        all == expected && lists == account.pages() && night.retries == 0,
    );
    table.bound(
        "the bare SDK reads the same",
        format!("{} + {}", bare.pages, bare.metric_calls),
        &format!("= {} + {metric_calls}", account.pages()),
        bare.pages == account.pages() && bare.metric_calls == metric_calls && bare.resources == account.resources(),
    );
}

/// A scan that found nothing would be fast: the planted findings must be on file after two nights.
fn check_findings(folder: &Path, account: &Account) -> anyhow::Result<()> {
    let open = ours::open_findings(folder)?;
    let idle = account.measured().1;
    ensure!(open.get("idle-instance") == Some(&idle), "{idle} instances are idle, on file are {open:?}");
    for check in ["required-tags", "unattached-volume", "oversized-instance", "old-snapshot"] {
        ensure!(open.contains_key(check), "no finding of {check} is on file: {open:?}");
    }
    tell(&format!("open findings: {open:?}"));
    Ok(())
}

/// One measured reading in this process.
fn child<T: Serialize>(port: &str, read: impl AsyncFnOnce(SdkConfig) -> anyhow::Result<T>) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let what = runtime.block_on(async {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::from_static(account::REGION))
            .endpoint_url(format!("http://127.0.0.1:{port}"))
            .credentials_provider(Credentials::new("AKIAEXAMPLE", "example", None, None, "bench"))
            .load()
            .await;
        read(config).await
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    tell(&serde_json::to_string(&Measured { used: Used::here()?, seconds, what })?);
    Ok(ExitCode::SUCCESS)
}

/// The loopback server in its own process; ends with this value.
struct Server {
    process: Child,
    _input: ChildStdin,
    port: String,
}

impl Server {
    fn start(account: Account) -> anyhow::Result<Server> {
        let words = ["serve".to_owned(), account.instances.to_string(), account.volumes.to_string()];
        let (mut process, input) = process::start(&words)?;
        let mut port = String::new();
        BufReader::new(process.stdout.take().context("the server's output")?).read_line(&mut port)?;
        let port = port.trim().to_owned();
        if port.parse::<u16>().is_err() {
            bail!("the server gave no port but {port:?}");
        }
        Ok(Server { process, _input: input, port })
    }

    fn bare(&self) -> anyhow::Result<Measured<bare::Seen>> {
        process::measure(&["bare".to_owned(), self.port.clone()])
    }

    fn night(&self, folder: &Path, number: u32) -> anyhow::Result<Measured<ours::Night>> {
        let folder = PathBuf::from(folder).into_os_string().into_string().ok().context("a folder in UTF-8")?;
        process::measure(&["night".to_owned(), self.port.clone(), folder, number.to_string()])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// By CPU.
fn median<T>(mut rounds: Vec<Measured<T>>) -> Measured<T> {
    rounds.sort_by(|left, right| left.used.cpu().total_cmp(&right.used.cpu()));
    let middle = rounds.len() / 2;
    rounds.swap_remove(middle)
}

fn shown<T>(measured: &Measured<T>) -> String {
    let Used { user, system, peak_mib } = measured.used;
    format!("{:.2} s CPU ({user:.2} + {system:.2}), {peak_mib:.0} MiB, {:.1} s", user + system, measured.seconds)
}

fn grouped(number: u64) -> String {
    costwarden::domain::money::grouped(number)
}

fn account_of(instances: &str, volumes: &str) -> anyhow::Result<Account> {
    Ok(Account { instances: instances.parse()?, volumes: volumes.parse()? })
}
