//! Reading settings and policy files from disk.
//!
//! A file that ends in the middle of a line is refused: `days: 14` cut to `days: 1` would still be a valid policy.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::domain::check::CheckInfo;
use crate::policy::document::{DocumentError, Errors, Spot};
use crate::policy::{self, Policy};

/// Largest file that is read, in bytes; a thousand policies fit.
const MAX_BYTES: u64 = 1 << 20;

/// The policies of files, and of folders whose `.yaml`, `.yml`, `.toml` and `.json` files are read in name order (their
/// own folders are not: `examples/` is never loaded, and neither is a `.schema.json`).
///
/// # Errors
/// Every mistake of every file; nothing is loaded then.
pub fn load_policies(paths: &[PathBuf], checks: &[&'static CheckInfo]) -> Result<Vec<Policy>, Errors> {
    let files = paths.iter().flat_map(|path| match policy_files(path) {
        Ok(files) => files.into_iter().map(Ok).collect(),
        Err(errors) => vec![Err(errors)],
    });
    let mut policies = policy::unite(files.map(|file| {
        let file = file?;
        policy::parse(&file, &read_text(&file)?, checks)
    }))?;
    policy::holidays::resolve(&mut policies, read_text)?;
    Ok(policies)
}

/// The policy files that a path of the settings stands for.
///
/// # Errors
/// Nothing there, an unreadable folder, or a folder without any policy file.
pub fn policy_files(path: &Path) -> Result<Vec<PathBuf>, Errors> {
    let failed = |error: std::io::Error| -> Errors {
        DocumentError::of_file(path, format!("cannot be read: {error}"), "a policy file, or a folder of them").into()
    };
    if !path.metadata().map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let hidden = file.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let ours = ["yaml", "yml", "toml", "json"];
        let policy =
            file.extension().is_some_and(|extension| ours.iter().any(|ending| extension.eq_ignore_ascii_case(ending)));
        let schema = file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".schema.json"));
        if policy && !schema && !hidden {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(DocumentError::of_file(
            path,
            "the folder holds no policy",
            "files that end with .yaml, .toml or .json",
        )
        .into());
    }
    Ok(files)
}

/// The text of a file that is whole as far as one can tell.
///
/// # Errors
/// Missing, unreadable, not a file, too large, not UTF-8, or cut off in the middle of a line.
pub fn read_text(path: &Path) -> Result<String, Errors> {
    let failed = |error: std::io::Error| DocumentError::of_file(path, format!("cannot be read: {error}"), "");
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(DocumentError::of_file(path, "is not a file", "a text file").into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(DocumentError::of_file(path, "is too large", "at most 1 MiB").into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        at_end(path, &good, "is not UTF-8 text from here on", "UTF-8")
    })?;
    if text.contains('\0') {
        let before = &text[..text.find('\0').unwrap_or(0)];
        return Err(at_end(path, before, "holds a zero byte here", "text").into());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        let todo = "a line break after the last line; check that the file is whole";
        return Err(at_end(path, &text, "the file ends in the middle of a line, as if it were cut off", todo).into());
    }
    Ok(text)
}

fn at_end(path: &Path, text: &str, problem: &str, accepted: &str) -> DocumentError {
    let last = text.rsplit('\n').next().unwrap_or("");
    let spot = Spot { line: text.matches('\n').count() + 1, column: last.chars().count() + 1, width: 1 };
    DocumentError::new(path, text, spot, "", problem, accepted)
}
