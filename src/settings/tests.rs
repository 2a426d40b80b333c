//! Settings: what loads, what is refused, in which words, and that every key is documented.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chrono::{NaiveTime, Weekday};
use serde_json::json;

use super::*;
use crate::domain::mode::{Breaker, Mode, Pace, Window};
use crate::domain::money::Usd;

const SHIPPED: &str = include_str!("../../config/costwarden.toml");

const FULL: &str = r##"state_dir = "state"
policies = ["policies", "/etc/costwarden/more.yaml"]
zone = "Europe/Berlin"

[[accounts]]
id = "123456789012"
name = "production"
role_arn = "arn:aws:iam::123456789012:role/reader"
regions = ["eu-central-1", "us-east-1"]

[enforcement]
mode = "enforce"
allow_auto_delete_volumes = true
protect = ["i-0abc", "tag:keep", "tag:env=prod"]
breaker_usd = 250.5

[enforcement.pace]
destructive_per_run = 1

[enforcement.window]
days = ["tue"]
from = "08:00"
to = "09:00"
holidays = [2026-12-24, "2026-12-25"]

[schedule]
act = "30 8 * * 2"

[owners]
allowed_domains = ["Example.com"]
default_owner = "team@example.com"

[[exceptions]]
id = "EXC-1"
resource = "vol-0a1b"
policy = "orphaned-resource-detection"
reason = "audit"
approved_by = "ann"
until = "2026-12-31"

[mail]
from = "Cost Warden <costwarden@example.com>"
host = "smtp.example.com"
user = "worker"
password_file = "credential:smtp"

[slack]
"#finops" = "secrets/finops"

[reports]
to = ["compliance@example.com"]

[costs]
enabled = true
tags = ["cost-center"]

[teams]
cloud_costs = "credential:teams-costs"
"##;

fn no_env(_: &str) -> Option<String> {
    None
}

fn read(text: &str) -> Result<Settings, SettingsError> {
    parse(Path::new("/etc/cw/costwarden.toml"), text, &no_env, Path::new("/home/ann"))
}

fn mistakes(text: &str) -> Vec<(usize, String)> {
    let errors = read(text).expect_err("must be refused");
    errors.into_iter().map(|error| (error.line, error.path)).collect()
}

#[test]
fn every_key_that_is_set_arrives() {
    let settings = read(FULL).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(settings.state_dir, Path::new("/etc/cw/state"));
    assert_eq!(settings.policies, [Path::new("/etc/cw/policies"), Path::new("/etc/costwarden/more.yaml")]);
    assert_eq!(settings.zone, chrono_tz::Europe::Berlin);
    let account = &settings.accounts[0];
    assert_eq!((account.id.as_str(), account.regions.len()), ("123456789012", 2));
    let enforcement = &settings.enforcement;
    assert_eq!((enforcement.mode, enforcement.allow_auto_delete_volumes), (Mode::Enforce, true));
    assert_eq!(enforcement.pace, Pace { destructive_per_run: 1, ..Pace::default() });
    assert_eq!(enforcement.breaker, Breaker { usd: Usd::parse("250.5"), ..Breaker::default() });
    let owners = read(&FULL.replace("breaker_usd = 250.5", "breaker_owners = 4")).unwrap().enforcement.breaker;
    assert_eq!(owners, Breaker { owners: Some(4), ..Breaker::default() });
    let window = &enforcement.window;
    assert_eq!((window.days.as_slice(), window.zone), ([Weekday::Tue].as_slice(), chrono_tz::Europe::Berlin));
    assert_eq!(
        (window.from, window.to),
        (NaiveTime::from_hms_opt(8, 0, 0).unwrap(), NaiveTime::from_hms_opt(9, 0, 0).unwrap())
    );
    assert_eq!(window.holidays, ["2026-12-24".parse().unwrap(), "2026-12-25".parse().unwrap()]);
    assert_eq!(settings.owners.allowed_domains, ["example.com"]);
    assert_eq!(settings.exceptions[0].until, "2026-12-31T23:59:59Z".parse::<crate::domain::Instant>().unwrap());
    let MailBackend::Smtp { host, port, tls, login } = &settings.mail.as_ref().unwrap().backend else { panic!() };
    assert_eq!((host.as_str(), *port, *tls), ("smtp.example.com", 587, SmtpTls::Starttls));
    assert_eq!(*login, Some(("worker".into(), PathBuf::from("credential:smtp"))));
    assert_eq!(settings.slack, [("#finops".into(), PathBuf::from("/etc/cw/secrets/finops"))]);
    assert!(settings.reports.daily_when_quiet && settings.costs.enabled);
}

#[test]
fn safety_keys_have_the_documented_defaults() {
    let settings = defaults_for_world();
    let enforcement = &settings.enforcement;
    assert_eq!(enforcement.mode, Mode::Observe);
    assert!(!enforcement.allow_auto_terminate && !enforcement.allow_auto_delete_volumes);
    assert!(enforcement.create_snapshot_before_stop && !enforcement.allow_public_ip_loss);
    assert_eq!((enforcement.pace, enforcement.breaker), (Pace::default(), Breaker::default()));
    assert_eq!(enforcement.window, Window::default());
    assert!(settings.accounts.is_empty() && settings.mail.is_none() && settings.exceptions.is_empty());
    assert_eq!((settings.tags.prefix.as_str(), settings.tags.team.as_str()), ("costwarden:", "cost-center"));
    assert_eq!((settings.schedule.scan.as_str(), settings.schedule.act.as_str()), ("0 2 * * *", "0 10 * * 1-4"));
    assert_eq!((settings.schedule.daily.as_str(), settings.schedule.weekly.as_str()), ("0 9 * * *", "0 9 * * 1"));
    let inventory = &settings.inventory;
    assert_eq!(
        (inventory.floor_percent, inventory.floor_count, inventory.keep_nights, inventory.max_age_hours),
        (30, 10, 35, 26)
    );
}

#[test]
fn the_state_folder_is_the_settings_own_then_systemds_then_a_folder_here() {
    let with = |text: &str, env: &Env<'_>| {
        parse(Path::new("/etc/cw/costwarden.toml"), text, env, Path::new("/home/ann")).unwrap().state_dir
    };
    let systemd = |name: &str| (name == "STATE_DIRECTORY").then(|| "/var/lib/costwarden:/var/lib/other".to_owned());
    assert_eq!(with("state_dir = \"/srv/state\"\n", &systemd), Path::new("/srv/state"));
    assert_eq!(with("zone = \"UTC\"\n", &systemd), Path::new("/var/lib/costwarden"));
    assert_eq!(with("zone = \"UTC\"\n", &no_env), Path::new("/home/ann/costwarden-state"));
}

#[test]
fn the_file_is_the_named_one_else_the_one_here_and_an_unreadable_one_is_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let missing = load(None, &no_env, here);
    if !Path::new(SYSTEM_FILE).exists() {
        assert!(missing.unwrap_err().to_string().contains("costwarden init"));
    }
    fs::write(here.join("costwarden.toml"), "zone = \"Asia/Tokyo\"\n").unwrap();
    fs::write(here.join("other.toml"), "zone = \"Europe/Rome\"\n").unwrap();
    assert_eq!(load(None, &no_env, here).unwrap().zone, chrono_tz::Asia::Tokyo);
    let other = load(Some(Path::new("other.toml")), &no_env, here).unwrap();
    assert_eq!((other.zone, other.origin), (chrono_tz::Europe::Rome, Some(here.join("other.toml"))));
    assert_eq!(other.policies, [here.join("policies")]);
    fs::remove_file(here.join("costwarden.toml")).unwrap();
    fs::create_dir(here.join("costwarden.toml")).unwrap();
    for named in [None, Some(Path::new("absent.toml")), Some(here)] {
        let errors = load(named, &no_env, here).unwrap_err();
        assert_eq!(errors.list().len(), 1, "{errors}");
    }
}

#[test]
fn each_class_of_single_edit_gives_one_clear_error() {
    for (class, from, to, line, path) in [
        ("unknown key", "mode = \"enforce\"", "moed = \"enforce\"", 12, "enforcement.moed"),
        ("unknown table", "[reports]", "[report]", 50, "report"),
        (
            "wrong type",
            "destructive_per_run = 1",
            "destructive_per_run = \"1\"",
            18,
            "enforcement.pace.destructive_per_run",
        ),
        ("a list for a text", "zone = \"Europe/Berlin\"", "zone = [\"UTC\"]", 3, "zone"),
        ("duplicate key", "enabled = true", "enabled = true\nenabled = true", 55, ""),
        ("duplicate table", "[costs]", "[slack]", 53, ""),
        ("bad word", "\"enforce\"", "\"enforced\"", 12, "enforcement.mode"),
        ("bad syntax", "mode = \"enforce\"", "mode = enforce", 12, ""),
        ("bad zone", "Europe/Berlin", "Europe/Berlim", 3, "zone"),
        ("bad account", "id = \"123456789012\"", "id = \"12345678901\"", 6, "accounts[0].id"),
        ("unquoted account", "id = \"123456789012\"", "id = 123456789012", 6, "accounts[0].id"),
        ("foreign role", "iam::123456789012", "iam::210987654321", 8, "accounts[0].role_arn"),
        ("bad Region", "us-east-1", "virginia", 9, "accounts[0].regions[1]"),
        ("Region twice", "us-east-1", "eu-central-1", 9, "accounts[0].regions[1]"),
        ("missing key", "regions = [\"eu-central-1\", \"us-east-1\"]\n", "", 5, "accounts[0]"),
        ("protects nothing", "i-0abc", "0abc", 14, "enforcement.protect[0]"),
        (
            "out of range",
            "destructive_per_run = 1",
            "destructive_per_run = -1",
            18,
            "enforcement.pace.destructive_per_run",
        ),
        ("bad time", "08:00", "8:00", 22, "enforcement.window.from"),
        ("window backwards", "09:00", "07:00", 23, "enforcement.window.to"),
        ("bad holiday", "2026-12-25", "25.12.2026", 24, "enforcement.window.holidays[1]"),
        ("no such day", "2026-12-25", "2026-02-30", 24, "enforcement.window.holidays[1]"),
        ("six cron fields", "30 8 * * 2", "0 30 8 * * 2", 27, "schedule.act"),
        ("cron out of range", "30 8 * * 2", "61 8 * * 2", 27, "schedule.act"),
        ("cron that never comes", "30 8 * * 2", "0 0 30 2 *", 27, "schedule.act"),
        ("cron nickname", "30 8 * * 2", "@daily", 27, "schedule.act"),
        ("bad domain", "Example.com", "@example.com", 30, "owners.allowed_domains[0]"),
        ("bad address", "team@example.com", "team", 31, "owners.default_owner"),
        ("bad creator tag", "[owners]\n", "[owners]\ncreator_tags = [\" \"]\n", 30, "owners.creator_tags[0]"),
        ("bad exception date", "until = \"2026-12-31\"", "until = \"soon\"", 39, "exceptions[0].until"),
        ("bad resource", "vol-0a1b", "volume 1", 35, "exceptions[0].resource"),
        ("password in the file", "password_file = \"credential:smtp\"", "password = \"hunter2\"", 45, "mail.password"),
        ("half a login", "user = \"worker\"\n", "", 44, "mail.password_file"),
        ("bad sender", "Cost Warden <costwarden@example.com>", "a\\r\\nBcc: b <c@d.e>", 42, "mail.from"),
        ("open mail", "host = \"smtp.example.com\"", "host = \"smtp.example.com\"\ntls = \"none\"", 44, "mail.tls"),
        (
            "mail in two ways",
            "host = \"smtp.example.com\"",
            "host = \"smtp.example.com\"\nfolder = \"m\"",
            44,
            "mail.folder",
        ),
        ("bad credential", "credential:smtp", "credential:../x", 45, "mail.password_file"),
        (
            "a webhook in the file",
            "secrets/finops",
            "https://hooks.slack.com/services/T0/B0/xyz",
            48,
            "slack.\"#finops\"",
        ),
        ("room without #", "\"#finops\"", "finops", 48, "slack.finops"),
        ("a channel with spaces", "cloud_costs", "\"cloud costs\"", 58, "teams.\"cloud costs\""),
        (
            "a channel's address in the file",
            "credential:teams-costs",
            "https://hooks.slack.example/x",
            58,
            "teams.cloud_costs",
        ),
        ("bad recipient", "compliance@example.com", "compliance@", 51, "reports.to[0]"),
    ] {
        assert!(FULL.contains(from), "{class}: {from}");
        let text = FULL.replacen(from, to, 1);
        let errors = read(&text).expect_err(class);
        let found: Vec<_> = errors.list().iter().map(|error| (error.line, error.path.as_str())).collect();
        assert_eq!(found, [(line, path)], "{class}: {errors}");
        assert!(!errors.to_string().contains("hunter2") && !errors.to_string().contains("hooks.slack"), "{errors}");
    }
}

#[test]
fn a_contact_is_one_address_of_an_allowed_domain_for_its_own_account() {
    let with = |contact: &str| FULL.replacen("\n[enforcement]", &format!("contact = {contact:?}\n\n[enforcement]"), 1);
    let settings = read(&with("team@Example.com")).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(settings.accounts[0].contact.as_deref(), Some("team@Example.com"));
    let long = format!("a@{}com", "example.".repeat(32));
    for wrong in [
        "team",
        "team@example.org",
        "team@sub.example.com",
        "Team <team@example.com>",
        "a@example.com,b@example.com",
        &long,
    ] {
        let errors = read(&with(wrong)).expect_err(wrong);
        assert!(
            !errors.list().is_empty()
                && errors.list().iter().all(|error| (error.line, &*error.path) == (10, "accounts[0].contact")),
            "{wrong}: {errors}"
        );
    }
    insta::assert_snapshot!(read(&with("team@example.org")).unwrap_err(), @r#"
    /etc/cw/costwarden.toml:10:11: accounts[0].contact: "team@example.org" is no address of owners.allowed_domains
      10 | contact = "team@example.org"
         |           ^^^^^^^^^^^^^^^^^^
      accepted: an address of a domain that stands there, or that domain in owners.allowed_domains
    "#);
    let nowhere = FULL.replace("allowed_domains = [\"Example.com\"]\n", "");
    let nowhere = nowhere.replacen("\n[enforcement]", "contact = \"team@example.com\"\n\n[enforcement]", 1);
    assert_eq!(mistakes(&nowhere), [(10, "accounts[0].contact".to_owned())]);
    // Who writes nothing asks the tags that AWS and common tools write; an empty list asks none.
    assert_eq!(defaults_for_world().owners.creator_tags, ["aws:createdBy", "creator", "created-by", "CreatedBy"]);
    let none = FULL.replacen("[owners]\n", "[owners]\ncreator_tags = []\n", 1);
    assert_eq!(read(&none).unwrap().owners.creator_tags, Vec::<String>::new());
}

#[test]
fn an_error_says_where_what_was_given_and_what_is_accepted() {
    let text = "zone = \"Europe/Berln\"\n[enforcment]\nmode = \"act\"\n[enforcement]\nmode = \"act\"\n[enforcement.pace]\ntags_per_run = 9000000\n";
    insta::assert_snapshot!(read(text).unwrap_err(), @r#"
    /etc/cw/costwarden.toml:2:2: enforcment: unknown key; did you mean "enforcement"?
      2 | [enforcment]
        |  ^^^^^^^^^^
      accepted: state_dir, policies, policy_source, zone, accounts, enforcement, schedule, owners, tags, exceptions, approvals, mail, slack, teams, webhooks, reports, costs, inventory, drill
    /etc/cw/costwarden.toml:5:8: enforcement.mode: "act" is not accepted here
      5 | mode = "act"
        |        ^^^^^
      accepted: observe, notify, enforce
    /etc/cw/costwarden.toml:7:16: enforcement.pace.tags_per_run: 9000000 is out of range
      7 | tags_per_run = 9000000
        |                ^^^^^^^
      accepted: a whole number from 0 to 100000
    "#);
    let text = "zone = \"Europe/Berln\"\n[[accounts]]\nid = \"1\"\nregions = [\"x\"]\n[schedule]\nscan = \"0 2 * *\"\n[mail]\nfrom = \"x\"\npassword_file = \"p\"\n";
    insta::assert_snapshot!(read(text).unwrap_err(), @r#"
    /etc/cw/costwarden.toml:1:8: zone: "Europe/Berln" is not a time zone; did you mean "Europe/Berlin"?
      1 | zone = "Europe/Berln"
        |        ^^^^^^^^^^^^^^
      accepted: an IANA name such as Europe/Berlin or UTC
    /etc/cw/costwarden.toml:3:6: accounts[0].id: "1" is not an AWS account id
      3 | id = "1"
        |      ^^^
      accepted: twelve digits, quoted
    /etc/cw/costwarden.toml:4:12: accounts[0].regions[0]: "x" is not a Region
      4 | regions = ["x"]
        |            ^^^
      accepted: a name such as eu-central-1
    /etc/cw/costwarden.toml:6:8: schedule.scan: "0 2 * *" is not a schedule: it has 4 fields
      6 | scan = "0 2 * *"
        |        ^^^^^^^^^
      accepted: five cron fields: minute hour day-of-month month day-of-week
    /etc/cw/costwarden.toml:7:1: mail.host: the key "host" is missing
      7 | [mail]
        | ^^^^^^
      accepted: the SMTP server's host name
    /etc/cw/costwarden.toml:8:8: mail.from: "x" is not a sender
      8 | from = "x"
        |        ^^^
      accepted: an address, or "Name <address>" with a plain name
    /etc/cw/costwarden.toml:9:1: mail.password_file: password_file stands without user
      9 | password_file = "p"
        | ^^^^^^^^^^^^^
      accepted: both, or neither
    "#);
}

#[test]
fn a_file_cut_anywhere_gives_one_error_or_whole_settings_and_a_file_cut_in_a_line_never_loads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("costwarden.toml");
    for cut in 0..FULL.len() {
        let text = &FULL[..cut];
        if let Err(errors) = read(text) {
            assert!(errors.list().iter().all(|error| error.line > 0 || cut == 0), "cut at {cut}: {errors}");
        }
        if cut % 16 == 0 && !text.ends_with('\n') {
            fs::write(&file, text).unwrap();
            let errors = load(Some(&file), &no_env, folder.path()).expect_err("a cut file must not load");
            assert_eq!(errors.list().len(), 1, "cut at {cut}: {errors}");
        }
    }
}

#[test]
fn unreadable_files_give_one_error_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty.toml"), "").unwrap();
    fs::write(path("comment.toml"), "# nothing\n").unwrap();
    fs::write(path("latin.toml"), b"zone = \"UTC\"\n# M\xfcnchen\n").unwrap();
    fs::write(path("zero.toml"), b"zone = \"UTC\"\n\0\n").unwrap();
    fs::write(path("cut.toml"), "zone = \"UTC\"\n[costs]\nrequests_per_day = 1").unwrap();
    fs::write(path("large.toml"), "#".repeat(1 << 20) + "\n\n").unwrap();
    for (name, line, words) in [
        ("empty.toml", 0, "empty"),
        ("comment.toml", 0, "empty"),
        ("latin.toml", 2, "not UTF-8"),
        ("zero.toml", 2, "zero byte"),
        ("cut.toml", 3, "cut off"),
        ("large.toml", 0, "too large"),
        ("absent.toml", 0, "No such file"),
        (".", 0, "not a file"),
    ] {
        let errors = load(Some(&path(name)), &no_env, folder.path()).expect_err(name);
        let [error] = errors.list() else { panic!("{name}: {errors}") };
        assert_eq!((error.line, error.file.as_path()), (line, path(name).as_path()), "{errors}");
        assert!(error.problem.contains(words), "{name}: {errors}");
    }
}

#[test]
fn settings_given_as_a_value_go_through_the_same_checks() {
    let base = Path::new("/worlds");
    let settings = Settings::from_value(
        &json!({"enforcement": {"mode": "enforce"}, "mail": {"backend": "folder", "folder": "mail", "from": "a@b.example"}}),
        base,
    )
    .unwrap();
    assert_eq!(settings.enforcement.mode, Mode::Enforce);
    assert_eq!(settings.mail.unwrap().backend, MailBackend::Folder(PathBuf::from("/worlds/mail")));
    assert_eq!((settings.origin, settings.state_dir), (None, PathBuf::from("/worlds/costwarden-state")));
    for (value, path) in [
        (json!({"enforcement": {"moed": "enforce"}}), "enforcement.moed"),
        (json!({"zone": null}), "zone"),
        (json!({"mail": {"backend": "folder", "from": "a@b.example"}}), "mail.folder"),
        (json!([]), ""),
    ] {
        let errors = Settings::from_value(&value, base).unwrap_err();
        assert_eq!(errors.list().iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), [path], "{errors}");
    }
}

#[test]
fn config_show_prints_every_value_with_its_origin() {
    let systemd = |name: &str| (name == "STATE_DIRECTORY").then(|| "/var/lib/costwarden".to_owned());
    let text = "zone = \"Europe/Berlin\"\n[[accounts]]\nid = \"123456789012\"\nregions = [\"eu-central-1\"]\n[enforcement.pace]\ntags_per_run = 5\n[mail]\nfrom = \"a@b.example\"\nhost = \"localhost\"\ntls = \"none\"\n[slack]\n\"#finops\" = \"hook\"\n";
    let settings = parse(Path::new("costwarden.toml"), text, &systemd, Path::new("/home/ann")).unwrap();
    insta::assert_snapshot!(show_text(&settings.show()), @r##"
    state_dir                                = "/var/lib/costwarden"                             # $STATE_DIRECTORY
    policies                                 = ["policies"]                                      # default
    policy_source                            = "files"                                           # default
    zone                                     = "Europe/Berlin"                                   # costwarden.toml:1
    accounts[0].id                           = "123456789012"                                    # costwarden.toml:3
    accounts[0].name                         = (none)                                            # default
    accounts[0].role_arn                     = (none)                                            # default
    accounts[0].external_id                  = (none)                                            # default
    accounts[0].actor_role_arn               = (none)                                            # default
    accounts[0].regions                      = ["eu-central-1"]                                  # costwarden.toml:4
    accounts[0].contact                      = (none)                                            # default
    enforcement.mode                         = "observe"                                         # default
    enforcement.allow_auto_terminate         = false                                             # default
    enforcement.allow_auto_delete_volumes    = false                                             # default
    enforcement.create_snapshot_before_stop  = true                                              # default
    enforcement.allow_public_ip_loss         = false                                             # default
    enforcement.recycle_bin_days             = (none)                                            # default
    enforcement.protect                      = []                                                # default
    enforcement.breaker_count                = 10                                                # default
    enforcement.breaker_percent              = 20                                                # default
    enforcement.breaker_usd                  = (none)                                            # default
    enforcement.breaker_owners               = (none)                                            # default
    enforcement.pace.destructive_per_run     = 3                                                 # default
    enforcement.pace.disruptive_per_run      = 10                                                # default
    enforcement.pace.destructive_per_day     = 10                                                # default
    enforcement.pace.tags_per_run            = 5                                                 # costwarden.toml:6
    enforcement.pace.percent_of_kind_per_day = 5                                                 # default
    enforcement.window.days                  = ["mon","tue","wed","thu"]                         # default
    enforcement.window.from                  = "09:30"                                           # default
    enforcement.window.to                    = "15:30"                                           # default
    enforcement.window.holidays              = []                                                # default
    schedule.scan                            = "0 2 * * *"                                       # default
    schedule.act                             = "0 10 * * 1-4"                                    # default
    schedule.daily                           = "0 9 * * *"                                       # default
    schedule.weekly                          = "0 9 * * 1"                                       # default
    owners.tags                              = ["owner","Owner"]                                 # default
    owners.creator_tags                      = ["aws:createdBy","creator","created-by","CreatedBy"]  # default
    owners.allowed_domains                   = []                                                # default
    owners.default_owner                     = (none)                                            # default
    tags.prefix                              = "costwarden:"                                     # default
    tags.ignore                              = []                                                # default
    tags.team                                = "cost-center"                                     # default
    exceptions                               = []                                                # default
    approvals.finops                         = []                                                # default
    approvals.security                       = []                                                # default
    approvals.finops_for                     = ["team-budgets","project-budgets"]                # default
    approvals.security_for                   = ["mandatory-tags","resource-limits"]              # default
    approvals.managers                       = {}                                                # default
    approvals.hold_hours                     = 72                                                # default
    approvals.distinct_logins                = false                                             # default
    mail.backend                             = "smtp"                                            # default
    mail.from                                = "a@b.example"                                     # costwarden.toml:8
    mail.host                                = "localhost"                                       # costwarden.toml:9
    mail.port                                = 25                                                # default
    mail.tls                                 = "none"                                            # costwarden.toml:10
    mail.user                                = (none)                                            # default
    mail.password_file                       = (none)                                            # default
    mail.folder                              = (none)                                            # default
    slack."#finops"                          = "hook"                                            # costwarden.toml:12
    teams                                    = {}                                                # default
    webhooks.secret_file                     = (none)                                            # default
    webhooks.internal_hosts                  = []                                                # default
    reports.to                               = []                                                # default
    reports.daily_when_quiet                 = true                                              # default
    costs.enabled                            = false                                             # default
    costs.tags                               = []                                                # default
    costs.requests_per_day                   = 20                                                # default
    inventory.floor_percent                  = 30                                                # default
    inventory.floor_count                    = 10                                                # default
    inventory.concurrency                    = 8                                                 # default
    inventory.keep_nights                    = 35                                                # default
    inventory.max_age_hours                  = 26                                                # default
    drill.every_days                         = 0                                                 # default
    "##);
    assert!(defaults_for_world().show().iter().all(|shown| shown.origin == Origin::Default));
}

#[test]
fn the_shipped_settings_load_and_their_values_are_the_defaults() {
    let shipped = read(SHIPPED).unwrap_or_else(|errors| panic!("{errors}"));
    let values = |settings: &Settings| -> Vec<(String, String)> {
        settings
            .show()
            .into_iter()
            .filter(|shown| shown.key != "state_dir")
            .map(|shown| (shown.key, shown.value))
            .collect()
    };
    assert_eq!(values(&shipped), values(&defaults_for_world()));
}

/// The shipped file with its example keys switched on: single `#` before a key, a table or a list of tables.
fn uncommented() -> String {
    let key = |rest: &str| {
        rest.starts_with('[')
            || rest.split_once(" = ").is_some_and(|(key, _)| {
                key.trim_matches('"').trim_start_matches('#').chars().all(|c| c.is_ascii_lowercase() || c == '_')
            })
    };
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if key(rest) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    SHIPPED.lines().map(line).collect()
}

#[test]
fn every_key_stands_in_the_shipped_file_with_a_value_that_is_accepted() {
    // `folder` goes with the other mail backend.
    let text = uncommented().replace("folder = \"mail\"\n", "");
    // The example of a contact is an address of a domain that the defaults do not allow.
    let text = text.replace("allowed_domains = []", "allowed_domains = [\"example.com\"]");
    let settings = read(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert!(
        settings
            .show()
            .iter()
            .filter(|shown| shown.key != "mail.folder")
            .all(|shown| matches!(shown.origin, Origin::Line(..)))
    );
    let schema = schema();
    let mut missing = BTreeSet::new();
    walk(&schema, &schema, "", &mut |path, description| {
        assert!(!description.is_empty(), "{path} has no description");
        let key = path.rsplit('.').next().unwrap();
        let there = uncommented()
            .lines()
            .any(|line| line.starts_with(&format!("{key} = ")) || line.trim_matches(['[', ']']).ends_with(key));
        if !there {
            missing.insert(path.to_owned());
        }
    });
    assert_eq!(missing, BTreeSet::new());
}

fn walk(root: &serde_json::Value, schema: &serde_json::Value, path: &str, visit: &mut impl FnMut(&str, &str)) {
    if let Some(target) = schema.get("$ref").and_then(|target| target.as_str()) {
        return walk(root, root.pointer(&target[1..]).unwrap(), path, visit);
    }
    if let Some(items) = schema.get("items") {
        walk(root, items, path, visit);
    }
    for (key, inner) in schema.get("properties").and_then(|map| map.as_object()).into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        visit(&path, inner.get("description").and_then(|text| text.as_str()).unwrap_or(""));
        walk(root, inner, &path, visit);
    }
}

#[test]
fn init_writes_observe_mode_and_policies_that_load_for_every_check() {
    let folder = tempfile::tempdir().unwrap();
    for (path, contents) in init_files() {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, contents).unwrap();
    }
    let settings = load(None, &no_env, folder.path()).unwrap();
    assert_eq!(settings.enforcement.mode, Mode::Observe);
    let policies =
        load_policies(&settings.policies, &crate::checks::infos()).unwrap_or_else(|errors| panic!("{errors}"));
    let rules: Vec<String> = crate::policy::summary(&policies)
        .into_iter()
        .map(|line| format!("{}/{} {} {}", line.policy, line.rule, line.judged_by, line.action))
        .collect();
    assert_eq!(
        rules,
        [
            "idle-resource-detection/low-utilization idle-instance stop",
            "mandatory-tags/owner-cost-center-environment tags tag",
            "old-snapshot-detection/old-snapshot old-snapshot report",
            "oversized-resource-detection/max-instance-size limits resize",
            "unassociated-address-detection/unassociated-address unassociated-address report",
            "orphaned-resource-detection/unattached-volume unattached-volume terminate",
        ]
    );
    let examples = load_policies(&[folder.path().join("policies/examples")], &crate::checks::infos()).unwrap();
    let names: Vec<&str> = examples.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(
        names,
        ["approvals", "team-budgets", "old-volume-types", "resource-limits", "office-hours", "mandatory-tags"]
    );
    for (path, text) in init_files().iter().filter(|(path, _)| path.ends_with(".yaml")) {
        let first = text.lines().next().unwrap();
        let schema =
            first.strip_prefix("# yaml-language-server: $schema=").unwrap_or_else(|| panic!("{path}: {first}"));
        assert!(folder.path().join(path).parent().unwrap().join(schema).is_file(), "{path} names {schema}");
    }
}

#[test]
fn the_shipped_rules_spell_out_the_checks_own_defaults() {
    use crate::domain::check::Params;
    let checks = crate::checks::infos();
    for (path, text) in init_files().iter().filter(|(path, _)| path.ends_with(".yaml") && !path.contains("examples")) {
        for rule in
            crate::policy::parse(Path::new(path), text, &checks).unwrap().into_iter().flat_map(|policy| policy.rules)
        {
            let crate::policy::Logic::Check { check, params } = rule.logic else { continue };
            let info = checks.iter().find(|info| info.id == check).unwrap();
            assert_eq!(params, Params::resolve(info, &Default::default()), "{path}");
            assert_eq!((rule.severity, rule.action), (info.severity, info.action), "{path}");
            for param in info.params {
                assert!(text.contains(&format!("{}: ", param.name)), "{path} does not show {}", param.name);
            }
        }
    }
}

#[test]
fn a_folder_of_policies_is_read_in_name_order_and_all_its_mistakes_come_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let policy =
        |name: &str| format!("metadata: {{name: {name}}}\ntype: Waste\nrules: [{{name: r, check: idle-instance}}]\n");
    fs::write(folder.path().join("b.yaml"), policy("b")).unwrap();
    fs::write(folder.path().join("a.yml"), policy("a")).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a policy").unwrap();
    fs::create_dir(folder.path().join("examples")).unwrap();
    fs::write(folder.path().join("examples/c.yaml"), "broken: [").unwrap();
    let checks = crate::checks::infos();
    let load = || load_policies(&[folder.path().to_owned()], &checks);
    let names: Vec<String> = load().unwrap().into_iter().map(|policy| policy.name).collect();
    assert_eq!(names, ["a", "b"]);
    fs::write(folder.path().join("c.yaml"), "").unwrap();
    fs::write(folder.path().join("d.yaml"), policy("d").trim_end()).unwrap();
    fs::write(folder.path().join("e.yaml"), policy("a")).unwrap();
    fs::write(folder.path().join("f.yaml"), policy("f").replace("idle", "idel")).unwrap();
    let errors = load().unwrap_err();
    let mut files: Vec<String> =
        errors.list().iter().map(|error| error.file.file_name().unwrap().to_string_lossy().into()).collect();
    files.sort();
    assert_eq!(files, ["c.yaml", "d.yaml", "e.yaml", "f.yaml"], "{errors}");
    let empty = tempfile::tempdir().unwrap();
    assert!(load_policies(&[empty.path().to_owned()], &checks).unwrap_err().to_string().contains("holds no policy"));
    assert!(load_policies(&[empty.path().join("absent")], &checks).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn a_policy_file_with_its_ending_in_capitals_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.yaml", "b.YAML", "c.Yml"] {
        std::fs::write(folder.path().join(name), "x: 1\n").unwrap();
    }
    std::fs::write(folder.path().join("d.yaml.bak"), "x: 1\n").unwrap();
    let files = policy_files(folder.path()).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.yaml", "b.YAML", "c.Yml"]);
}

#[test]
fn a_secret_comes_only_from_a_file_that_others_cannot_reach() {
    use secrecy::ExposeSecret;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let write = |text: &str, mode: u32| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o400, 0o600, 0o640] {
        write("hunter2\n", mode);
        assert_eq!(read_secret(&file).unwrap().expose_secret(), "hunter2");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    for (text, mode, words) in [
        ("hunter2", 0o644, "chmod 600"),
        ("hunter2", 0o602, "chmod 600"),
        ("", 0o600, "is empty"),
        ("hunter2\nb", 0o600, "several lines"),
    ] {
        write(text, mode);
        let error = read_secret(&file).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("password") && !error.contains("hunter2"), "{error}");
    }
    assert!(read_secret(&folder.path().join("absent")).unwrap_err().to_string().contains("cannot be read"));
    assert!(read_secret(Path::new("credential:smtp")).unwrap_err().to_string().contains("CREDENTIALS_DIRECTORY"));
    let systemd = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| "/run/credentials/cw".to_owned());
    let settings = parse(Path::new("/etc/cw/costwarden.toml"), FULL, &systemd, Path::new("/")).unwrap();
    let MailBackend::Smtp { login, .. } = settings.mail.unwrap().backend else { panic!() };
    assert_eq!(login.unwrap().1, Path::new("/run/credentials/cw/smtp"));
}

#[test]
fn config_check_tells_what_loads_and_yet_does_nothing() {
    let text = "[enforcement]\nmode = \"enforce\"\n[schedule]\nact = \"0 10 * * 5\"\n[[exceptions]]\nid = \"E\"\nresource = \"vol-1\"\npolicy = \"mandatory-tags\"\nrule = \"x\"\nreason = \"r\"\napproved_by = \"a\"\nuntil = 2026-12-31\n";
    let checks = crate::checks::infos();
    let policies: Vec<_> = init_files()
        .iter()
        .filter(|(path, _)| path.contains("examples") && path.ends_with(".yaml"))
        .flat_map(|(path, text)| crate::policy::parse(Path::new(path), text, &checks).unwrap())
        .collect();
    insta::assert_snapshot!(cross_check(&read(text).unwrap(), &policies).join("\n"), @r#"
    accounts: no account is listed, so nothing is looked at; add [[accounts]] with id and regions
    mail: without it no notice is delivered, so no grace period starts and nothing is done
    owners: allowed_domains and default_owner are empty, so nobody can be told and nothing is done
    team-budgets/project-alpha-budget: slack has no entry for #project-alpha, so nothing is sent there
    exceptions: E names the rule "x", which mandatory-tags does not have
    team-budgets/engineering-team-budget: costs.enabled is false, so the budget is not watched
    team-budgets/project-alpha-budget: costs.enabled is false, so the budget is not watched
    resource-limits/max-database-size: this resource type is not read yet, so the rule is not evaluated
    resource-limits/max-line-bandwidth: no listing tells network bandwidth, so requests alone are held to it
    schedule.act: "0 10 * * 5" never falls into the action window within 35 days, so the worker never acts
    "#);
    let quiet = "[[accounts]]\nid = \"123456789012\"\nregions = [\"eu-central-1\"]\n";
    let notes = |policy: &crate::policy::Policy| policy.name != "team-budgets" && policy.name != "resource-limits";
    let silent: Vec<_> = policies.into_iter().filter(notes).collect();
    assert_eq!(silent.len(), 4);
    assert_eq!(cross_check(&read(quiet).unwrap(), &silent), Vec::<String>::new());
}

#[test]
fn config_check_tells_when_nobody_could_approve_what_needs_two_people() {
    let policy = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: {name: old}\nspec:\n  type: Waste\n  rules:\n    - {name: s, check: old-snapshot, severity: medium, action: terminate}\n    - {name: a, check: unassociated-address, severity: medium, action: release}\n";
    let policies = crate::policy::parse(Path::new("old.yaml"), policy, &crate::checks::infos()).unwrap();
    let told = |more: &str| {
        let text = format!("{more}\n[[accounts]]\nid = \"123456789012\"\nregions = [\"eu-central-1\"]\n");
        cross_check(&read(&text).unwrap(), &policies)
    };
    assert_eq!(
        told(""),
        [
            "old/s: enforcement.recycle_bin_days is not set, so no snapshot is deleted",
            "old/s: 2 people must approve each of its acts and 0 may; name more under [approvals]",
            "old/a: 2 people must approve each of its acts and 0 may; name more under [approvals]",
        ]
    );
    let people = "[enforcement]\nrecycle_bin_days = 30\n[approvals]\nfinops = [\"a@example.com\"]\nsecurity = [\"b@example.com\"]";
    assert_eq!(told(people), Vec::<String>::new());
}

#[test]
fn mistakes_of_several_tables_come_at_once() {
    let text = "zone = \"x\"\n[reports]\nto = [\"y\"]\n[owners]\ndefault_owner = \"z\"\n";
    assert_eq!(mistakes(text), [(1, "zone".into()), (3, "reports.to[0]".into()), (5, "owners.default_owner".into())]);
}

#[test]
fn h09_an_address_longer_than_mail_servers_must_take_is_refused_and_not_a_person_who_hears_of_nothing() {
    let address = |length: usize| {
        let labels = ["b".repeat(60), "c".repeat(60), "d".repeat(60)].join(".");
        format!("{}@{labels}.{}", "a".repeat(60), "e".repeat(length - 60 - 1 - 182 - 1))
    };
    assert_eq!(address(254).len(), 254);
    let owners = |address: &str| format!("[owners]\ndefault_owner = \"{address}\"\n");
    assert_eq!(read(&owners(&address(254))).unwrap().owners.default_owner, Some(address(254)));
    assert_eq!(mistakes(&owners(&address(255))), [(2, "owners.default_owner".into())]);
}

#[test]
fn s9_webhooks_are_signed_from_a_file_reach_listed_names_alone_and_unsigned_ones_are_told() {
    let text = "[webhooks]\nsecret_file = \"hook\"\ninternal_hosts = [\"Tracker.corp.example\", \"jira\"]\n";
    let signed = read(text).unwrap();
    assert_eq!(signed.webhooks.secret_file.as_deref(), Some(Path::new("/etc/cw/hook")));
    assert_eq!(signed.webhooks.internal_hosts, ["tracker.corp.example", "jira"]);
    for wrong in ["10.0.0.1", "*.corp.example", "https://jira", "jira:8443", "jira/x", "", "::1", "jira.", "0x7f.1"] {
        let text = format!("[webhooks]\ninternal_hosts = [\"a.example\", {wrong:?}]\n");
        assert_eq!(mistakes(&text), [(2, "webhooks.internal_hosts[1]".to_owned())], "{wrong}");
    }

    let policy = "policy_type: security\nid: lock\nname: Lock\nenforcement_mode: enforce\nseverity: high\nviolation_actions: [{type: webhook, url: \"https://x.example/h\"}]\nrules: [{id: r, condition: failed_logins > 3}]\n";
    let policies = crate::policy::parse(Path::new("lock.yaml"), policy, &crate::checks::infos()).unwrap();
    let told = |settings: &Settings| -> usize {
        let notes = cross_check(settings, &policies);
        notes.iter().filter(|note| note.starts_with("webhooks.secret_file: ") && note.contains("unsigned")).count()
    };
    assert_eq!((told(&read("zone = \"UTC\"\n").unwrap()), told(&signed)), (1, 0));
}
