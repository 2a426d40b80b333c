//! What fuzzing runs on the settings file: text in, and what loads must be all of it, or it is refused.
//!
//! `fuzz/fuzz_targets/settings.rs` calls [`settings`], and so do the tests below. Held: a refusal names places in the
//! file; a key that nobody knows never passes, in whatever table; what loads means the same when it is written again,
//! with and without its defaults; and the safety keys of what loads are what the file says (safety.md, H11).

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::raw::RawSettings;
use super::{Settings, parse};
use crate::domain::fuzz::Feed;
use crate::policy::document::{parse_toml, to_toml};

/// A file with most keys, one on a line.
const GOOD: &str = include_str!("fuzz.toml");

/// Lines that a file may have more of, and some that it may not.
const LINES: &[&str] = &[
    "allow_auto_terminate = true",
    "allow_auto_delete_volumes = true",
    "recycle_bin_days = 0",
    "recycle_bin_days = 366",
    "breaker_usd = -1",
    "breaker_usd = 1e300",
    "breaker_count = 4294967296",
    "[enforcement]",
    "[enforcement.pace]",
    "[[accounts]]",
    "id = 123456789012",
    "id = \"1234567890123\"",
    "role_arn = \"arn:aws:iam::999999999999:role/x\"",
    "regions = []",
    "mode = \"enforce\"",
    "mode = \"Enforce\"",
    "[exceptions]",
    "[[exceptions]]",
    "until = 2026-02-30",
    "zone = \"Europe/Berlin\"",
    "from = \"24:00\"",
    "to = \"00:00\"",
    "protect = [\"tag:\"]",
    "protect = [\"i-\", \"i-0é\"]",
    "default_owner = \"a@b@c\"",
    "allowed_domains = [\"*.example.com\"]",
    "tls = \"none\"",
    "port = 0",
    "secret_file = \"credential:../x\"",
    "prefix = \"aws:\"",
    "\"mode\" = \"enforce\"",
    "enforcement.mode = \"enforce\"",
    "\"#a\" = \"https://hooks.example.com/x\"",
    "a = { b = [ { c = 1 } ] }",
    "\u{feff}",
    "\"\"\"",
    "'''",
    "[",
    "}",
    "\\",
    "é = 1",
];

/// Values that take the place of a line's own.
const VALUES: &[&str] = &[
    "true",
    "false",
    "0",
    "1",
    "-1",
    "4294967296",
    "9223372036854775808",
    "1.5",
    "1e300",
    "nan",
    "\"\"",
    "\" \"",
    "\"*\"",
    "\"\\u0000\"",
    "\"é\\r\\n\"",
    "\"observe\"",
    "\"i-0abc\"",
    "\"a@example.com\"",
    "\"0 9 30 2 *\"",
    "\"* * * * *\"",
    "[]",
    "[\"\"]",
    "[\"eu-central-1\", \"eu-central-1\"]",
    "{}",
    "2026-12-24",
    "2026-12-24T00:00:00Z",
    "0x7f",
    "'x'",
];

/// Text in, nothing but a refusal or whole settings out. The first byte chooses: any bytes, or a good file that was
/// edited. Whether it loaded.
pub fn settings(bytes: &[u8]) -> bool {
    let mut feed = Feed::new(bytes);
    let text = if feed.byte().is_multiple_of(4) { feed.rest() } else { edited(&mut feed) };
    match read(&text) {
        Err(errors) => {
            let lines = text.split('\n').count();
            assert!(!errors.list().is_empty() && !errors.to_string().is_empty(), "refused for no reason");
            assert!(errors.list().iter().all(|error| error.line <= lines), "a mistake below the end: {errors}");
            false
        }
        Ok(settings) => {
            let root = parse_toml(&file(), &text).expect("what loads is TOML").to_json();
            whole(&settings, &root);
            no_stranger(&root, &mut feed);
            written_again(&settings, &root);
            true
        }
    }
}

/// A good file after some edits by whole lines.
fn edited(feed: &mut Feed<'_>) -> String {
    let mut lines: Vec<String> = GOOD.lines().map(str::to_owned).collect();
    while !feed.is_empty() && !lines.is_empty() {
        let at = feed.below(lines.len());
        match feed.byte() % 6 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => lines.insert(at, feed.pick(LINES).to_owned()),
            3 => {
                let cut = lines[at].floor_char_boundary(feed.below(40));
                lines[at].truncate(cut);
            }
            _ => {
                let value = feed.pick(VALUES);
                if let Some((key, _)) = lines[at].split_once(" = ") {
                    lines[at] = format!("{key} = {value}");
                }
            }
        }
    }
    lines.join("\n")
}

fn file() -> PathBuf {
    PathBuf::from("/etc/costwarden/costwarden.toml")
}

fn read(text: &str) -> Result<Settings, super::SettingsError> {
    parse(&file(), text, &|_| None, Path::new("/home/ann"))
}

/// What settings promise to the rest of the program, whatever the file says.
fn whole(settings: &Settings, root: &Json) {
    for (index, account) in settings.accounts.iter().enumerate() {
        assert!(!account.regions.is_empty(), "an account without Regions");
        assert!(settings.accounts[..index].iter().all(|other| other.id != account.id), "an account twice");
        for role in [&account.role_arn, &account.actor_role_arn].into_iter().flatten() {
            assert!(role.contains(&format!(":iam::{}:role/", account.id)), "{role} is a role of another account");
        }
    }
    let enforcement = &settings.enforcement;
    let said = |key: &str| root.pointer(&format!("/enforcement/{key}"));
    assert_eq!(enforcement.allow_auto_terminate, said("allow_auto_terminate") == Some(&Json::Bool(true)));
    assert_eq!(enforcement.allow_auto_delete_volumes, said("allow_auto_delete_volumes") == Some(&Json::Bool(true)));
    assert_eq!(enforcement.allow_public_ip_loss, said("allow_public_ip_loss") == Some(&Json::Bool(true)));
    assert_eq!(
        enforcement.create_snapshot_before_stop,
        said("create_snapshot_before_stop") != Some(&Json::Bool(false))
    );
    assert_eq!(enforcement.mode.word(), said("mode").and_then(Json::as_str).unwrap_or("observe"));
    assert_eq!(enforcement.recycle_bin_days.map(u64::from), said("recycle_bin_days").and_then(Json::as_u64));
    // A limit that is written down and lost would be no limit.
    assert_eq!(enforcement.breaker.usd.is_some(), said("breaker_usd").is_some(), "{:?}", said("breaker_usd"));
    assert_eq!(enforcement.breaker.owners.is_some(), said("breaker_owners").is_some());
    assert_eq!(enforcement.protect.len(), said("protect").and_then(Json::as_array).map_or(0, Vec::len));
    assert!(enforcement.window.from < enforcement.window.to && !enforcement.window.days.is_empty());
    assert_eq!(settings.exceptions.len(), root["exceptions"].as_array().map_or(0, Vec::len), "an exception is lost");
    for address in settings.reports.to.iter().chain(&settings.owners.default_owner) {
        let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,;:\"\\()[]".contains(&byte));
        assert!(plain && address.matches('@').count() == 1 && address.len() <= 254, "{address:?} is no address");
    }
}

/// The same file with a key that nobody knows, in one of its tables: never loaded.
fn no_stranger(root: &Json, feed: &mut Feed<'_>) {
    let mut root = root.clone();
    let mut tables = Vec::new();
    collect(&root, String::new(), &mut tables);
    let chosen = tables.swap_remove(feed.below(tables.len()));
    let Some(Json::Object(table)) = root.pointer_mut(&chosen) else { unreachable!("{chosen} was found in it") };
    // With a space it is no name of a room or a person either, which some tables have for keys.
    table.insert("allow everything".into(), "true".into());
    let text = to_toml(&root).expect("what came from TOML goes there");
    let Err(errors) = read(&text) else { panic!("a stranger's key passed in {chosen:?}:\n{text}") };
    assert!(errors.to_string().contains("allow everything"), "{errors}");
}

/// Pointers to all tables.
fn collect(value: &Json, path: String, found: &mut Vec<String>) {
    match value {
        Json::Object(table) => {
            for (key, value) in table {
                collect(value, format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
            found.push(path);
        }
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, format!("{path}/{index}"), found));
        }
        _ => {}
    }
}

/// The settings as a file of our own, and that with every default written out: the same settings.
fn written_again(settings: &Settings, root: &Json) {
    let mut raw: RawSettings = serde_json::from_value(root.clone()).expect("what loads has the shape");
    let folder = raw.mail.as_ref().is_some_and(|mail| mail.folder.is_some());
    raw.state_dir.get_or_insert_with(|| settings.state_dir.display().to_string());
    let mut full = serde_json::to_value(&raw).expect("our own shape");
    without_nothing(&mut full);
    if folder && let Some(mail) = full["mail"].as_object_mut() {
        // Its default is that of a server.
        mail.remove("tls");
    }
    for (what, value) in [("as it is", root), ("with its defaults", &full)] {
        let text = to_toml(value).expect("what came from TOML goes there");
        let again = read(&text).unwrap_or_else(|errors| panic!("{what} it does not load any more: {errors}\n{text}"));
        assert_eq!(told(&again), told(settings), "{what} it means something else:\n{text}");
    }
}

fn without_nothing(value: &mut Json) {
    match value {
        Json::Object(table) => {
            table.retain(|_, value| !value.is_null());
            table.values_mut().for_each(without_nothing);
        }
        Json::Array(items) => items.iter_mut().for_each(without_nothing),
        _ => {}
    }
}

/// All that the program goes by; not where it stood.
fn told(settings: &Settings) -> String {
    format!("{:?}", Settings { shown: Vec::new(), ..settings.clone() })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> bool {
        settings(&[&[0], text.as_bytes()].concat())
    }

    #[test]
    fn h11_nasty_settings_are_refused_and_good_ones_mean_the_same_when_written_again() {
        assert!(text(GOOD) && text(&super::super::init_files()[0].1), "the good ones load");
        assert!(text("a = 1") == text("") && !text(""), "these do not");
        let mut loaded = 0;
        for line in LINES {
            for place in ["", "mode = \"notify\"", "regions = [", "[owners]", "[[exceptions]]"] {
                loaded += usize::from(text(&GOOD.replacen(place, &format!("{line}\n{place}"), 1)));
            }
        }
        for (at, line) in GOOD.lines().enumerate() {
            for value in VALUES {
                let Some((key, _)) = line.split_once(" = ") else { continue };
                let mut lines: Vec<&str> = GOOD.lines().collect();
                let other = format!("{key} = {value}");
                lines[at] = &other;
                loaded += usize::from(text(&lines.join("\n")));
            }
        }
        assert!((100..600).contains(&loaded), "{loaded} of the edited ones loaded: that asks too little");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn h11_any_edits_of_a_good_file_load_whole_or_not_at_all(bytes in vec(any::<u8>(), 0..20)) {
            settings(&bytes);
        }
    }
}
