//! The real binary, as people and scripts call it: its words, its exit codes, and what it leaves behind.

mod actions;
mod audit;
mod documents;
mod evaluate;
mod exceptions;
mod explain;
mod iam;
mod life;
mod policies;
mod start;
pub mod state;
mod wrong;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own, in which the binary is called with nothing of our environment but what it needs.
pub struct Desk {
    home: TempDir,
}

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    pub fn empty() -> Desk {
        Desk { home: tempfile::tempdir().unwrap() }
    }

    /// A desk on which `init` was run.
    pub fn set_up() -> Desk {
        let desk = Desk::empty();
        assert_eq!(desk.call(&["init"]).code, 0);
        desk
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    pub fn call(&self, args: &[&str]) -> Ended {
        self.call_with(args, &[])
    }

    pub fn call_with(&self, args: &[&str], env: &[(&str, &str)]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_costwarden"))
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended {
            code: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Every file with its content, by path from here, sorted.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut found, mut folders) = (Vec::new(), vec![self.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push((path.strip_prefix(self.path()).unwrap().to_owned(), fs::read(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

impl Ended {
    /// Its stdout as JSON, after it ended well.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// It ended with a code, and said exactly one error.
    pub fn one_error(&self, code: i32) -> &str {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        let begins = self.err.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).count();
        assert_eq!(begins, 1, "not one error: {}", self.err);
        &self.err
    }
}
