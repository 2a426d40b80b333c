//! The daemon as a process: one per state folder, graceful on SIGTERM, and deaf to broken settings on SIGHUP.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const SETTINGS: &str = "\
policies = [\"policies\"]

[[accounts]]
id = \"123456789012\"
regions = [\"eu-central-1\"]
";

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwarden"));
    command
        .args(["daemon", "--log-format", "text"])
        .current_dir(folder)
        .env("AWS_ACCESS_KEY_ID", "none")
        .env("AWS_SECRET_ACCESS_KEY", "none")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let init = Command::new(env!("CARGO_BIN_EXE_costwarden")).arg("init").current_dir(folder.path()).output().unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    std::fs::write(folder.path().join("costwarden.toml"), SETTINGS).unwrap();
    folder
}

struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(folder: &Path) -> Running {
        let mut child = command(folder).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Running { child, lines }
    }

    /// Waits for a log line with these words.
    fn says(&self, words: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(120)) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("never said {words:?}; said: {seen:#?}"),
            }
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_second_daemon_gets_75_and_the_first_one_ends_with_143_on_sigterm() {
    let folder = installed();
    let mut first = Running::start(folder.path());
    first.says("ready");
    let second = command(folder.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(75), "{}", String::from_utf8_lossy(&second.stderr));
    first.signal("-TERM");
    assert_eq!(first.exit_code(), Some(143));
    let mut third = Running::start(folder.path());
    third.says("ready");
    third.signal("-INT");
    assert_eq!(third.exit_code(), Some(130), "the lock was given back");
}

#[test]
fn sighup_keeps_the_old_settings_when_the_new_ones_are_wrong_and_takes_good_ones() {
    let folder = installed();
    let mut daemon = Running::start(folder.path());
    daemon.says("ready");
    let file = folder.path().join("costwarden.toml");
    std::fs::write(&file, format!("zoen = \"UTC\"\n{SETTINGS}")).unwrap();
    daemon.signal("-HUP");
    let said = daemon.says("zoen");
    assert!(said.contains("costwarden.toml"), "{said}");
    std::fs::write(&file, format!("zone = \"Europe/Berlin\"\n{SETTINGS}")).unwrap();
    daemon.signal("-HUP");
    daemon.says("settings and policies read again");
    daemon.signal("-TERM");
    assert_eq!(daemon.exit_code(), Some(143));
}

#[test]
fn h06_a_daemon_whose_lock_file_is_removed_or_replaced_ends_and_says_why() {
    let folders: Vec<tempfile::TempDir> = (0..3).map(|_| installed()).collect();
    let daemons: Vec<Running> = folders.iter().map(|folder| Running::start(folder.path())).collect();
    let mut met = 0;
    for (number, (folder, daemon)) in folders.iter().zip(&daemons).enumerate() {
        daemon.says("ready");
        let lock = folder.path().join("costwarden-state/daemon.lock");
        std::fs::remove_file(&lock).unwrap();
        if number > 0 {
            std::fs::write(&lock, "1\n").unwrap();
        }
        met += 1;
    }
    for mut daemon in daemons {
        daemon.says("daemon.lock was removed or replaced");
        assert_eq!(daemon.exit_code(), Some(1));
    }
    crate::faults::reached("the lock file is removed", met);
}
