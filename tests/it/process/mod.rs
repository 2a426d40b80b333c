//! The real binary in trouble: killed, on a broken network, on a full disk, beside others of its kind, by a wrong clock.
//!
//! Every case has a resource of its own, so that the cloud's own log is the judge: at most one stop or delete of it, and
//! none before a completed snapshot of every volume that would be lost. `points` goes through the named
//! crash points of a stop and of a delete, `random` kills anywhere, `network`, `disk`, `races` and `clocks` are named
//! after what goes wrong; `ends` are deaths of other sorts than SIGKILL, `files` what becomes of the state's files, `ways`
//! what stands between the program and AWS; `put_back` exchanges the state file for an older one. `world` brings one state to the day on
//! which everything is due, by playing the program itself; `case` copies it and does harm.

mod case;
mod clocks;
mod disk;
mod ends;
mod files;
mod network;
mod points;
mod put_back;
mod races;
mod random;
mod ways;
mod world;

/// The crash points exist in debug builds alone: every read of the variable stands under `debug_assertions`.
#[test]
fn a_release_build_does_not_read_the_variable_that_halts() {
    let source = include_str!("../../../src/remediate/halt.rs");
    let guarded: Vec<&str> = source
        .split("#[cfg(debug_assertions)]")
        .skip(1)
        .map(|part| part.split("#[cfg(not(debug_assertions))]").next().unwrap_or_default())
        .collect();
    let reads = |text: &str| text.matches("env::var").count();
    assert_eq!(reads(source), 1, "one place reads the environment");
    assert_eq!(guarded.iter().map(|part| reads(part)).sum::<usize>(), 1, "and it is compiled into debug builds alone");
    assert_eq!(source.matches("pending::<()>").count(), 1, "one place waits");
    for line in source.lines().filter(|line| line.trim_start().starts_with("WaitToBeKilled")) {
        assert!(line.trim() == "WaitToBeKilled,", "{line}");
    }
    let mut readers = Vec::new();
    find(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut readers);
    assert_eq!(readers, ["halt.rs"], "nothing else knows the variable");
}

fn find(folder: &std::path::Path, readers: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the tree") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find(&path, readers);
        } else if std::fs::read(&path).expect("a file").windows(18).any(|bytes| bytes == b"COSTWARDEN_HALT_AT") {
            readers.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
}
