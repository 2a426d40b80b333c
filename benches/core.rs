//! What the pure core costs: judging, reconciling, planning and the weekly PDF (product.md, "Numbers").
//!
//! `cargo bench --bench core` measures with 100,000 resources and findings; `-- --quick` with a tenth, and shows the
//! figures without judging them. One thread, no cloud; the audit trail alone lies in a state file. Ends with 1 when a
//! bound is missed.

#[path = "support/table.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use anyhow::{Context, ensure};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use costwarden::checks;
use costwarden::cloud::prices;
use costwarden::domain::check::{Subject, Verdict};
use costwarden::domain::fact::Fact;
use costwarden::domain::finding::{Finding, FindingId};
use costwarden::domain::inventory::RefIndex;
use costwarden::domain::mode::{Arming, Mode};
use costwarden::domain::money::grouped;
use costwarden::domain::notice::NoticeKind;
use costwarden::domain::place::{AccountId, Kind, Place, Region, ResourceKey};
use costwarden::domain::price::PriceBook;
use costwarden::domain::report::{ReportKind, SelfCost};
use costwarden::domain::resource::{AttachedVolume, Detail, Instance, InstanceState, Lifecycle, Resource, Tags};
use costwarden::domain::rule::TypePattern;
use costwarden::domain::scan::Scan;
use costwarden::domain::usage::{Hourly, Usage};
use costwarden::engine::evaluate::{EvaluateRules, evaluate};
use costwarden::engine::plan::{PartitionLook, PlanInput, select};
use costwarden::engine::reconcile::{Look, Reconciled, Reconciler};
use costwarden::engine::ruleset::{CompiledRule, Ruleset};
use costwarden::engine::score::ScanSummary;
use costwarden::engine::{grace, summarize};
use costwarden::policy::expression::{Condition, Facts, Value};
use costwarden::policy::{Logic, Polarity, Policy};
use costwarden::store::{AuditEntry, Store};
use costwarden::{policy, report, settings};
use table::Table;

/// Resource × rule decisions a second.
const LEAST_DECISIONS: f64 = 1_000_000.0;
/// For one evaluation of one condition, at the 99th percentile.
const MOST_EVALUATION: Duration = Duration::from_millis(1);
/// For reconciling and planning together, and for the weekly PDF.
const MOST_TIME: Duration = Duration::from_secs(1);
/// For following a million rows of the audit trail (safety.md, "Audit").
const MOST_TRAIL: Duration = Duration::from_secs(10);
/// The weekly PDF, bytes.
const MOST_BYTES: usize = 300 * 1_000;
/// Times that each is run; the median counts.
const ROUNDS: usize = 5;
/// Rules in the first row.
const RULES: usize = 15;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The third of the rules that are conditions in the second row.
const CONDITIONS: [&str; 5] = [
    "instance.vcpus > 16 && resource.tags.environment != 'production'",
    "resource.age_days > 30 && usage.cpu_average_7d < 2.5 && resource.state == 'running'",
    "resource.tags['cost-center'] == null || !resource.tags['cost-center'].startsWith('CC-')",
    "price.monthly_usd * 12 > 5000 && instance.family in ['general-purpose', 'compute-optimized']",
    "!has(resource.tags.owner) || !resource.tags.owner.matches('^[a-z0-9-]+@example[.]com$')",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => bench(100_000, true),
        ["--quick"] => bench(10_000, false),
        _ => Err(anyhow::anyhow!("unknown arguments {words:?}; the only one accepted is --quick")),
    };
    done.unwrap_or_else(|error| {
        table::tell(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

fn bench(count: usize, judged: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::default();
    let mut row = |what: &str, measured: String, bound: &str, holds: bool| match judged {
        true => table.bound(what, measured, bound, holds),
        false => table.note(what, measured),
    };
    let prices = prices::embedded().context("the price book")?;
    let inventory = inventory(count);

    let fifteen = ruleset(&fifteen_rules())?;
    ensure!(fifteen.rules().len() == RULES, "{} rules, not fifteen", fifteen.rules().len());
    let (took, (decisions, violations)) = timed(|| (), |()| judge_all(&fifteen, &inventory, &prices));
    ensure!(decisions == count * RULES && violations > count / 10, "{decisions} decisions, {violations} violations");
    let rate = decisions as f64 / took.as_secs_f64();
    row(
        &format!("evaluation, {} resources x {RULES} rules, one core", grouped(count as u64)),
        format!("{} decisions/s", grouped(rate as u64)),
        ">= 1,000,000/s",
        rate >= LEAST_DECISIONS,
    );

    let mixed = Ruleset::compile(&with_conditions()?)?;
    ensure!(mixed.rules().len() == RULES, "{} rules, not fifteen", mixed.rules().len());
    let (took, (decisions, violations)) = timed(|| (), |()| judge_all(&mixed, &inventory, &prices));
    ensure!(decisions == count * RULES && violations > count / 10, "{decisions} decisions, {violations} violations");
    let rate = decisions as f64 / took.as_secs_f64();
    row(
        &format!("the same with {} CEL conditions among them", CONDITIONS.len()),
        format!("{} decisions/s", grouped(rate as u64)),
        ">= 1,000,000/s",
        rate >= LEAST_DECISIONS,
    );

    let slowest = slowest_evaluations(count / 10)?;
    row(
        "one condition on a caller's context, p99 of the heaviest",
        format!("{:.3} ms", slowest.as_secs_f64() * 1_000.0),
        "< 1 ms",
        slowest < MOST_EVALUATION,
    );

    let two = ruleset(&two_findings_each())?;
    let half = &inventory[..count / 2];
    let verdicts = || verdicts(&two, half, &prices);
    let mut first = reconciled(yesterday(), Vec::new(), half, verdicts());
    ensure!(first.changed.len() == count, "{} findings, not {count}", first.changed.len());
    for finding in &mut first.changed {
        grace::delivered(finding, NoticeKind::First, now() - TimeDelta::days(9));
        grace::delivered(finding, NoticeKind::Escalation, now() - TimeDelta::days(2));
    }
    let (reconcile, second) =
        timed(|| (first.changed.clone(), verdicts()), |(on_file, verdicts)| reconciled(now(), on_file, half, verdicts));
    ensure!(second.changed.len() == count && second.events.is_empty(), "the second night confirms every finding");
    let findings = second.changed;
    let planner = Planner::new(&two, count)?;
    let (plan, (chosen, held)) = timed(|| (), |()| planner.select(&findings));
    ensure!(chosen > 0 && chosen + held == count, "{chosen} chosen and {held} held of {count}");
    let both = reconcile + plan;
    row(
        &format!("reconcile + plan, {} findings", grouped(count as u64)),
        format!("{} + {}", seconds(reconcile), seconds(plan)),
        "<= 1 s",
        both <= MOST_TIME,
    );

    let summary = summary(&two, &inventory, half.len());
    let (took, bytes) = timed(|| (), |()| weekly(&findings, &summary).map(|pdf| pdf.len()));
    let bytes = bytes?;
    row(
        &format!("weekly PDF, {} findings", grouped(count as u64)),
        format!("{}, {} KB", seconds(took), bytes / 1_000),
        "<= 1 s, <= 300 KB",
        took <= MOST_TIME && bytes <= MOST_BYTES,
    );

    let rows = count * 10;
    let (_folder, state) = trail(rows)?;
    let (took, verified) = timed(|| (), |()| state.audit_verify(None));
    ensure!(verified? == rows as u64, "the audit trail does not hold");
    row(&format!("audit trail, {} rows verified", grouped(rows as u64)), seconds(took), "<= 10 s", took <= MOST_TRAIL);
    Ok(table.finish())
}

/// A state file with so many rows in its audit trail, opened for reading.
fn trail(rows: usize) -> anyhow::Result<(tempfile::TempDir, Store)> {
    // Made in memory, where a commit does not wait for a disk, and then written out.
    let store = Store::in_memory()?;
    for number in 0..rows {
        let entry = AuditEntry {
            actor: "remediate".into(),
            what: "act".into(),
            subject: format!("123456789012/eu-central-1/compute/instance/i-{number:017x}"),
            detail: serde_json::json!({ "act": "stop_instance", "ended": "done", "plan": "p-1", "monthly_usd": 70.08 }),
        };
        store.audit_append(now(), &entry)?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("costwarden.db");
    store.save_to(&file)?;
    Ok((folder, Store::open_read_only(&file)?))
}

/// The median time of a few runs, each on a fresh input that is not timed, and the last run's result.
fn timed<I, T>(mut input: impl FnMut() -> I, mut run: impl FnMut(I) -> T) -> (Duration, T) {
    let mut times = Vec::new();
    let mut result = None;
    for _ in 0..ROUNDS {
        let input = input();
        let begun = Stopwatch::now();
        let value = black_box(run(black_box(input)));
        times.push(begun.elapsed());
        result = Some(value);
    }
    times.sort();
    (times[ROUNDS / 2], result.expect("at least one round"))
}

fn judge_all(rules: &Ruleset, inventory: &[(Resource, Usage)], prices: &PriceBook) -> (usize, usize) {
    let refs = RefIndex::default();
    let (mut decisions, mut violations) = (0, 0);
    for (resource, usage) in inventory {
        let subject = Subject { resource, usage: Some(usage), refs: &refs, sighting: None, prices, now: now() };
        for judged in evaluate(rules, &subject, EvaluateRules { tag_prefix: "costwarden:", refused: &|_, _| None }) {
            decisions += 1;
            violations += usize::from(matches!(black_box(judged.verdict), Verdict::Violated(_)));
        }
    }
    (decisions, violations)
}

fn verdicts<'r>(
    rules: &'r Ruleset,
    inventory: &[(Resource, Usage)],
    prices: &PriceBook,
) -> Vec<Vec<(&'r CompiledRule, Verdict)>> {
    let refs = RefIndex::default();
    let options = EvaluateRules { tag_prefix: "costwarden:", refused: &|_, _| None };
    inventory
        .iter()
        .map(|(resource, usage)| {
            let subject = Subject { resource, usage: Some(usage), refs: &refs, sighting: None, prices, now: now() };
            evaluate(rules, &subject, options).map(|judged| (judged.rule, judged.verdict)).collect()
        })
        .collect()
}

fn reconciled(
    at: DateTime<Utc>,
    on_file: Vec<Finding>,
    inventory: &[(Resource, Usage)],
    verdicts: Vec<Vec<(&CompiledRule, Verdict)>>,
) -> Reconciled {
    let owner_of = |resource: &Resource| resource.tag("owner").map(str::to_owned);
    let look = Look { now: at, exceptions: &[], owner_of: &owner_of, tag_prefix: "costwarden:" };
    let mut reconciler = Reconciler::new(look);
    reconciler.on_file(on_file);
    for ((resource, _), verdicts) in inventory.iter().zip(verdicts) {
        reconciler.seen(resource);
        for (rule, verdict) in verdicts {
            reconciler.observe(resource, rule, verdict);
        }
    }
    reconciler.finish()
}

/// What the planner weighs besides the findings: armed, in the window, nothing acted on yet.
struct Planner {
    settings: settings::Settings,
    accounts: BTreeSet<AccountId>,
    armings: Vec<Arming>,
    policies: BTreeMap<String, String>,
    partitions: HashMap<costwarden::domain::place::Partition, PartitionLook>,
    totals: HashMap<(AccountId, Kind), u64>,
    last_acts: HashMap<ResourceKey, DateTime<Utc>>,
    in_vain: HashMap<FindingId, u32>,
}

impl Planner {
    fn new(rules: &Ruleset, resources: usize) -> anyhow::Result<Planner> {
        let place = place();
        let policies = rules.hashes.clone();
        let arming = Arming {
            account: place.account.clone(),
            by: "ana".into(),
            at: yesterday(),
            until: now() + TimeDelta::days(30),
            policies: policies.clone().into_iter().collect(),
        };
        let mut settings = settings::defaults_for_world();
        // Every finding is newly due at once here; the breaker's own work stays, its holding would end the rest.
        settings.enforcement.breaker.count = u32::try_from(resources)?;
        Ok(Planner {
            settings,
            accounts: BTreeSet::from([place.account.clone()]),
            armings: vec![arming],
            policies,
            partitions: HashMap::from([(place.partition(Kind::Instance), PartitionLook { at: now(), doubt: None })]),
            totals: HashMap::from([((place.account, Kind::Instance), resources as u64)]),
            last_acts: HashMap::new(),
            in_vain: HashMap::new(),
        })
    }

    fn select(&self, findings: &[Finding]) -> (usize, usize) {
        let enforcement = &self.settings.enforcement;
        let approved = BTreeMap::new();
        let selection = select(&PlanInput {
            now: now(),
            findings,
            mode: Mode::Enforce,
            by_hand: false,
            frozen: None,
            accounts: &self.accounts,
            armings: &self.armings,
            policies: &self.policies,
            exceptions: &[],
            asked: &[],
            approved: &approved,
            partitions: &self.partitions,
            max_age: TimeDelta::hours(26),
            totals: &self.totals,
            today: &[],
            last_acts: &self.last_acts,
            in_vain: &self.in_vain,
            pace: &enforcement.pace,
            breaker: &enforcement.breaker,
            window: &enforcement.window,
        });
        (selection.chosen.len(), selection.held.len())
    }
}

fn summary(rules: &Ruleset, inventory: &[(Resource, Usage)], violating: usize) -> ScanSummary {
    use costwarden::engine::reconcile::CountsAs;
    let mut summary = ScanSummary::default();
    for (index, (resource, _)) in inventory.iter().enumerate() {
        let counts_as = if index < violating { CountsAs::Violating } else { CountsAs::Compliant };
        let verdicts = rules.rules().iter().map(|rule| (&*rule.policy, rule.check.id, counts_as));
        summary.resource(resource, "cost-center", verdicts);
    }
    summary
}

/// From rows to bytes: counting and layout.
fn weekly(findings: &[Finding], summary: &ScanSummary) -> anyhow::Result<Vec<u8>> {
    let scan = Scan {
        id: "s-20261123T020000Z".into(),
        started_at: now(),
        finished_at: Some(now()),
        coverage: Vec::new(),
        requests: Vec::new(),
        resources: BTreeMap::new(),
        unknown: BTreeMap::new(),
    };
    let report = summarize::report(summarize::ReportInput {
        kind: ReportKind::Weekly,
        now: now(),
        from: now() - TimeDelta::days(7),
        to: now(),
        zone: chrono_tz::UTC,
        scope: "all".into(),
        findings,
        scan: Some((&scan, summary)),
        history: vec![Some(91.0); 12],
        held: &[],
        due_now: &[],
        remediations: &[],
        undoable: Vec::new(),
        exceptions: &[],
        budgets: Vec::new(),
        spend: None,
        self_cost: SelfCost { requests: 860, usd: Default::default() },
        frozen: None,
        notes: vec!["Prices: a bench".into()],
    });
    report::pdf::render(&report)
}

fn ruleset(documents: &[String]) -> anyhow::Result<Ruleset> {
    let infos = checks::infos();
    let parsed = documents
        .iter()
        .enumerate()
        .map(|(index, text)| policy::parse(Path::new(&format!("policy-{index}.yaml")), text, &infos));
    Ok(Ruleset::compile(&policy::unite(parsed)?)?)
}

/// Five rules each about idleness, size and tags; all of them speak about every instance.
fn fifteen_rules() -> Vec<String> {
    let mut documents = Vec::new();
    for step in 1..=5 {
        documents.push(waste(&format!("idle-{step}"), step));
        documents.push(document(
            &format!("size-{step}"),
            &format!(
                "type: ResourceLimit\n  severity: high\n  rules:\n    - name: size\n      resource: compute/instance\n      \
                 action: notify\n      constraint: {{maxVCPUs: {}, maxMemoryGB: {}}}\n",
                2_u32.pow(step),
                2_u32.pow(step + 3)
            ),
        ));
        documents.push(tag_rule(&format!("tags-{step}"), "notify", ""));
    }
    documents
}

/// An idle finding and a tag finding on every one of the instances that have both faults.
fn two_findings_each() -> Vec<String> {
    vec![waste("idle", 100), tag_rule("tags", "tag", ", default: CC-0000")]
}

/// The same fifteen with conditions in place of the rules about idleness.
fn with_conditions() -> anyhow::Result<Vec<Policy>> {
    let infos = checks::infos();
    let documents = fifteen_rules();
    let parsed = documents
        .iter()
        .enumerate()
        .map(|(index, text)| policy::parse(Path::new(&format!("policy-{index}.yaml")), text, &infos));
    let mut policies = policy::unite(parsed)?;
    let idle = policies.iter_mut().filter(|policy| policy.name.starts_with("idle-"));
    for (policy, text) in idle.zip(CONDITIONS) {
        for rule in &mut policy.rules {
            rule.types = vec![TypePattern("compute/instance".into())];
            rule.logic = Logic::Condition { condition: Condition::compile(text)?, polarity: Polarity::Violates };
        }
    }
    Ok(policies)
}

/// The 99th percentile of the slowest of a few conditions that are as heavy as the limits allow.
fn slowest_evaluations(rounds: usize) -> anyhow::Result<Duration> {
    let list: Vec<Value> = (0..5_000).map(Value::Int).collect();
    let facts = Facts::new().with("list", Value::List(list)).with("text", Value::text(&"a".repeat(8_000)));
    let heavy = [
        "list.all(x, list.exists(y, x + y > 3 && y * 2 != x))",
        "list.map(x, x * 2).filter(x, x % 3 == 0) == list",
        "text.matches('^(a+)+$') && text.matches('(a|b)*c')",
        "(text + text).contains('ab') || size(text + text) == 16001",
        "timestamp('2026-11-23T10:00:00Z') - duration('4d') > timestamp('2026-11-01T00:00:00Z')",
    ];
    let mut slowest = Duration::ZERO;
    for text in heavy {
        let condition = Condition::compile(text)?;
        let mut times: Vec<Duration> = (0..rounds.max(100))
            .map(|_| {
                let begun = Stopwatch::now();
                black_box(condition.evaluate(black_box(&facts)));
                begun.elapsed()
            })
            .collect();
        times.sort();
        slowest = slowest.max(times[times.len() * 99 / 100]);
    }
    Ok(slowest)
}

fn waste(name: &str, cpu_percent: u32) -> String {
    document(
        name,
        &format!(
            "type: Waste\n  rules:\n    - name: idle\n      check: idle-instance\n      severity: medium\n      \
             action: stop\n      parameters: {{cpu_percent: {cpu_percent}, network_bytes_per_day: 1000000000000}}\n"
        ),
    )
}

fn tag_rule(name: &str, action: &str, default: &str) -> String {
    document(
        name,
        &format!(
            "type: TagRequirement\n  severity: medium\n  rules:\n    - name: tags\n      action: {action}\n      \
             requiredTags:\n        - {{key: owner, pattern: '^[a-z0-9-]+@example\\.com$'}}\n        \
             - {{key: cost-center{default}}}\n        \
             - {{key: environment, allowedValues: [production, staging, development]}}\n      \
             scope: [compute/instance]\n"
        ),
    )
}

fn document(name: &str, spec: &str) -> String {
    format!("apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: {name}\nspec:\n  {spec}")
}

/// Monday morning, inside the action window.
fn now() -> DateTime<Utc> {
    "2026-11-23T10:00:00Z".parse().expect("a date")
}

fn yesterday() -> DateTime<Utc> {
    now() - TimeDelta::days(1)
}

fn place() -> Place {
    Place {
        account: AccountId::new("111122223333").expect("twelve digits"),
        region: Region::new("us-east-1").expect("a Region"),
    }
}

/// Running instances with a week of metrics. The first half lacks its cost center; of all, one in twenty is idle.
fn inventory(count: usize) -> Vec<(Resource, Usage)> {
    let types =
        ["m5.large", "t3.micro", "c5.large", "m5.4xlarge", "r5.large", "m6i.2xlarge", "c5.9xlarge", "t3.medium"];
    let partition = place().partition(Kind::Instance);
    let monday = now().date_naive();
    let days: Arc<[NaiveDate]> = (1..=7).rev().map(|back| monday - TimeDelta::days(back)).collect();
    (0..count)
        .map(|index| {
            let name = format!("checkout-{index}");
            let owner = format!("team-{}@example.com", index % 150);
            let center = format!("CC-{:04}", index % 60);
            let mut tags = vec![
                ("Name", name.as_str()),
                ("owner", owner.as_str()),
                ("environment", "production"),
                ("service", "checkout"),
                ("release", "2026.11"),
                ("backup", "daily"),
            ];
            if index >= count / 2 {
                tags.push(("cost-center", center.as_str()));
            }
            let attached = AttachedVolume {
                volume: format!("vol-0{index:016x}").as_str().into(),
                device: "/dev/xvda".into(),
                delete_on_termination: true,
            };
            let instance = Instance {
                state: InstanceState::Running,
                instance_type: types[index % types.len()].into(),
                zone: "us-east-1a".into(),
                platform: Fact::Known("Linux/UNIX".into()),
                lifecycle: Lifecycle::OnDemand,
                volumes: Box::new([attached]),
                instance_store: Fact::Known(false),
                auto_public_ip: Fact::Absent,
                operator: None,
                termination_protected: Fact::unknown("a listing does not show protection flags"),
                stop_protected: Fact::unknown("a listing does not show protection flags"),
                state_since: Fact::Absent,
                image: None,
                subnet: None,
                private_ip: None,
            };
            let resource = Resource {
                key: partition.key(&format!("i-0{index:016x}")),
                tags: Fact::Known(Tags::of(&tags)),
                created_at: Fact::Known(now() - TimeDelta::days(90)),
                detail: Detail::Instance(Box::new(instance)),
            };
            let busy = if index % 20 == 0 { 0.5 } else { 20.0 + (index % 50) as f64 };
            let usage = Usage {
                days: days.clone(),
                cpu_average: Fact::Known([Some(busy); 7].into_iter().collect()),
                network_in: Fact::Known([Some(busy * 1_000.0); 7].into_iter().collect()),
                network_out: Fact::Known([Some(busy * 2_000.0); 7].into_iter().collect()),
                hourly: Some(Box::new(Hourly {
                    cpu_peak: Fact::Known(12.0),
                    hours_seen: Fact::Known(168),
                    hours_expected: 168,
                    disk_operations: Fact::Known(40.0),
                })),
            };
            (resource, usage)
        })
        .collect()
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
