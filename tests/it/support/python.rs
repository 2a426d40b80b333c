//! The Python environment of the tests: installed once under the target folder, and again when its list changes.
//!
//! A test that cannot get it fails and says what is missing; it never passes by skipping.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The list of packages.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/requirements.txt");

/// Python with everything of `tests/support/requirements.txt`. The first call of a fresh tree takes a minute.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| install(&target_folder().join("test-python")))
}

/// A file beside the Python support code, `tests/support/NAME`.
pub fn support_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}

/// libfaketime's library, for `LD_PRELOAD`.
#[cfg(feature = "aws")]
pub fn libfaketime() -> PathBuf {
    let code = "import libfaketime, pathlib; print(pathlib.Path(libfaketime.__file__).parent)";
    let package = PathBuf::from(run(Command::new(python()).args(["-c", code])).trim());
    let library = package.join("vendor/libfaketime/src/libfaketime.so.1");
    assert!(library.is_file(), "{} is missing: libfaketime's wheel carries no library here", library.display());
    library
}

/// Cargo's target folder, whatever its name.
fn target_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's folder for tests lies in its target folder")
}

fn install(folder: &Path) -> PathBuf {
    let python = folder.join("bin/python");
    let stamp = folder.join("installed-requirements.txt");
    let wanted = fs::read_to_string(REQUIREMENTS).expect("tests/support/requirements.txt is part of the tree");
    // Several test processes may come here at once; the first installs, the others wait.
    let lock = File::create(folder.with_extension("lock")).expect("the target folder is writable");
    lock.lock().expect("the target folder's file system has locks");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.exists() {
        return python;
    }
    if folder.exists() {
        fs::remove_dir_all(folder).expect("the old environment can be removed");
    }
    eprintln!("installing the tests' Python packages into {} (once)", folder.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(folder));
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["-r", REQUIREMENTS]));
    fs::write(&stamp, wanted).expect("the environment's folder is writable");
    python
}

/// The output of a command that must succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} did not start: {error}. The tests need Python 3.11 or later with venv and pip")
    });
    assert!(
        output.status.success(),
        "{command:?} failed with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
