//! `init`: commented settings in observe mode and one policy file per check, ready to be edited.
//!
//! Needs no network. Either every file is there afterwards or none is: the files are made aside, moved into place, and
//! moved back when one of them cannot go there. What was there before is never overwritten without `--force`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::Global;
use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use crate::domain::text::clean;
use crate::settings::init_files;

/// Flags of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write; made when it is not there
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Written {
    schema_version: u32,
    written: Vec<String>,
}

/// Writes the files.
///
/// # Errors
/// A file is there already: bad use. A folder or file that cannot be written; nothing is written then.
pub fn run(global: &Global, args: &Args) -> Result<Exit> {
    let files = init_files();
    let taken: Vec<String> = files
        .iter()
        .map(|(name, _)| args.dir.join(name))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| clean(&path.display().to_string()))
        .collect();
    if !taken.is_empty() && !args.force {
        return Err(ExitError::bad_use(format!(
            "nothing was written, these files are there already: {}\n  give --force to overwrite them, or --dir FOLDER to write elsewhere",
            taken.join(", ")
        )));
    }
    write_all(&args.dir, &files)?;
    let written: Vec<String> = files.iter().map(|(name, _)| args.dir.join(name).display().to_string()).collect();
    if global.output == Format::Json {
        output::json(&Written { schema_version: SCHEMA_VERSION, written })?;
    } else {
        output::print(&next_steps(&args.dir, &written))?;
    }
    Ok(Exit::Done)
}

fn next_steps(dir: &Path, written: &[String]) -> String {
    let settings = dir.join("costwarden.toml");
    let flag = if dir == Path::new(".") { String::new() } else { format!(" --config {}", settings.display()) };
    let files: String = written.iter().map(|file| format!("  {}\n", clean(file))).collect();
    format!(
        "Wrote\n{files}\nMode is observe: nothing is changed in any account and no owner is told.\n\nNext:\n  \
         1. Add your account under [[accounts]] in {}\n  \
         2. costwarden config check{flag}\n  \
         3. costwarden scan{flag}\n\n\
         To see all of it first without an account: costwarden demo\n",
        clean(&settings.display().to_string())
    )
}

/// What has been done so far, to be undone.
#[derive(Default)]
struct Done {
    /// Folders that were made, outermost first.
    folders: Vec<PathBuf>,
    /// Files that are in place, each with where its predecessor was put.
    moved: Vec<(PathBuf, Option<PathBuf>)>,
}

/// Writes all files or none.
fn write_all(dir: &Path, files: &[(&str, String)]) -> Result<()> {
    let mut done = Done::default();
    let result = try_write_all(dir, files, &mut done);
    if result.is_err() {
        done.take_files_back();
        done.remove_folders();
    }
    result
}

fn try_write_all(dir: &Path, files: &[(&str, String)], done: &mut Done) -> Result<()> {
    make_folder(dir, done)?;
    let aside = dir.join(format!(".costwarden-init-{}", std::process::id()));
    fs::create_dir(&aside).with_context(|| format!("making the folder {}", aside.display()))?;
    let result = (|| {
        for (index, (name, text)) in files.iter().enumerate() {
            let fresh = aside.join(format!("new-{index}"));
            fs::write(&fresh, text).with_context(|| format!("writing {}", dir.join(name).display()))?;
        }
        for (index, (name, _)) in files.iter().enumerate() {
            let place = dir.join(name);
            if let Some(folder) = place.parent() {
                make_folder(folder, done)?;
            }
            put(&aside.join(format!("new-{index}")), &place, aside.join(format!("old-{index}")), done)?;
        }
        Ok(())
    })();
    if result.is_err() {
        // Predecessors lie in the folder, so they go back before it goes.
        done.take_files_back();
    }
    // All files are where they belong by now; a folder that cannot be removed is no reason to say otherwise.
    let _ = fs::remove_dir_all(&aside);
    result
}

/// Makes a folder with the folders around it, and notes which were new.
fn make_folder(folder: &Path, done: &mut Done) -> Result<()> {
    let missing: Vec<&Path> =
        folder.ancestors().filter(|path| !path.as_os_str().is_empty()).take_while(|path| !path.exists()).collect();
    for path in missing.into_iter().rev() {
        fs::create_dir(path).with_context(|| format!("making the folder {}", path.display()))?;
        done.folders.push(path.to_owned());
    }
    if !folder.as_os_str().is_empty() && !folder.is_dir() {
        anyhow::bail!("{} is not a folder, so nothing can be written into it", folder.display());
    }
    Ok(())
}

fn put(fresh: &Path, place: &Path, old: PathBuf, done: &mut Done) -> Result<()> {
    let there = place.symlink_metadata().ok();
    if there.as_ref().is_some_and(|data| data.is_dir()) {
        anyhow::bail!("{} is a folder; move it away or choose another --dir", place.display());
    }
    let failed = || format!("writing {}", place.display());
    let kept = match there {
        Some(_) => {
            fs::rename(place, &old).with_context(failed)?;
            Some(old)
        }
        None => None,
    };
    done.moved.push((place.to_owned(), kept));
    fs::rename(fresh, place).with_context(failed)
}

impl Done {
    /// Puts every file back as it was, as far as the disk lets us.
    fn take_files_back(&mut self) {
        for (place, kept) in self.moved.drain(..).rev() {
            // Errors here have nobody to go to: the error that led here is the one that is told.
            let _ = match kept {
                Some(old) => fs::rename(old, place),
                None => fs::remove_file(place),
            };
        }
    }

    /// Removes the folders that were made; one that holds something stays.
    fn remove_folders(&mut self) {
        for folder in self.folders.drain(..).rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_go_to_its_place_takes_all_others_back() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("new");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a"), "mine").unwrap();
        fs::create_dir(dir.join("z")).unwrap();
        let files = [("a", "theirs".to_owned()), ("sub/b", "b".to_owned()), ("z", "z".to_owned())];
        let error = write_all(&dir, &files).unwrap_err();
        assert!(format!("{error:#}").contains("is a folder"), "{error:#}");
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "mine");
        let mut left: Vec<_> =
            fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["a", "z"]);
    }

    #[test]
    fn a_folder_that_was_made_goes_again_when_nothing_could_be_written() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("file"), "").unwrap();
        assert!(write_all(&home.path().join("file/below"), &[("a", String::new())]).is_err());
        let files = [("a", String::new()), ("a/b", String::new())];
        assert!(write_all(&home.path().join("x/y"), &files).is_err());
        assert!(!home.path().join("x").exists());
    }
}
