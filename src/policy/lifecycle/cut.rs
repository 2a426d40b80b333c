//! Pieces of text that hold one policy of several, with the comments that stand directly above it.
//!
//! By lines alone, so a piece may be wrong where a text within the file looks like its frame; `content` takes a piece
//! only when it loads and says the same as the policy in its file.

/// What opens a policy in a TOML file.
const TABLE: &str = "[[policies]]";

/// The text between two `---` lines around a line, from 1.
pub(super) fn document(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let at = line.checked_sub(1).filter(|at| *at < lines.len())?;
    let mark = |line: &&str| line.trim_end() == "---";
    let begin = lines[..at].iter().rposition(mark).map_or(0, |index| index + 1);
    let end = lines[at..].iter().position(mark).map_or(lines.len(), |index| at + index);
    Some(lines[begin..end].concat())
}

/// One `[[policies]]` table of a TOML file with everything below it, by a line within its head.
pub(super) fn table(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let heads: Vec<usize> = (0..lines.len()).filter(|index| lines[*index].trim_start().starts_with(TABLE)).collect();
    let own = heads.iter().rposition(|head| *head < line)?;
    let end = heads.get(own + 1).map_or(lines.len(), |next| above(&lines, *next));
    Some(lines[above(&lines, heads[own])..end].concat())
}

/// One item of a YAML list, by the lines on which the file's items begin; below `policies:` where it is indented so.
pub(super) fn item(text: &str, line: usize, begins: &[usize]) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = above(&lines, line.checked_sub(1)?);
    let next = begins.iter().filter(|begin| **begin > line).min();
    let end = next.map_or(lines.len(), |next| above(&lines, next - 1));
    let below = lines.iter().any(|line| line.trim_end() == "policies:");
    let head = if below { "policies:\n" } else { "" };
    Some(format!("{head}{}", lines.get(first..end)?.concat()))
}

/// The first of the comment lines directly above a line.
fn above(lines: &[&str], mut at: usize) -> usize {
    while at > 0 && lines.get(at - 1).is_some_and(|line| line.trim_start().starts_with('#')) {
        at -= 1;
    }
    at
}
