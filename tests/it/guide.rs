//! The guide to policies, run: its files are written, its commands are called, its outputs are looked for.
//!
//! A fenced block is either a file (its language, then its path) or a console. In a console a line that begins with
//! `$ ` is a command; `exit code N` says how the command before it ends (0 when nothing is said); every other line
//! must be found in what it prints, blanks counting as one. A block of any other kind fails the test.

use super::cli::{Desk, Ended};

const GUIDE: &str = include_str!("../../docs/policies.md");
const WORKFLOW: &str = include_str!("../../docs/ci/policies.yml");

enum Block<'t> {
    File { path: &'t str, text: &'t str },
    Console { line: usize, text: &'t str },
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(open) = rest.find("```") {
        let line = page[..page.len() - rest.len() + open].matches('\n').count() + 1;
        let inside = &rest[open + 3..];
        let (info, text) = inside.split_once('\n').unwrap();
        let (text, after) = text.split_once("```").unwrap_or_else(|| panic!("line {line}: the block never ends"));
        found.push(match info.split_once(' ') {
            Some((_, path)) => Block::File { path, text },
            None if info == "console" => Block::Console { line, text },
            None => panic!("line {line}: {info:?} is neither a file nor a console"),
        });
        rest = after;
    }
    found
}

/// The words of a line, so that the width of a table's column does not matter.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a command; what stands in double quotes is one.
fn words(command: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, part) in command.split('"').enumerate() {
        match index % 2 {
            0 => found.extend(part.split_whitespace().map(str::to_owned)),
            _ => found.push(part.to_owned()),
        }
    }
    found
}

fn check(line: usize, command: &str, expected: &[&str], code: i32, ended: &Ended) {
    let all = squeezed(&format!("{}\n{}", ended.out, ended.err));
    assert_eq!(ended.code, code, "line {line}: {command}: {ended:?}");
    for wanted in expected {
        assert!(
            all.contains(&squeezed(wanted)),
            "line {line}: {command}: no {wanted:?} in\n{}{}",
            ended.out,
            ended.err
        );
    }
}

fn console(desk: &Desk, first: usize, text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let mut commands = 0;
    for (index, line) in lines.iter().enumerate() {
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let args = words(command);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        assert_eq!(args[0], "costwarden", "line {}", first + index + 1);
        let said: Vec<&str> = lines[index + 1..].iter().copied().take_while(|line| !line.starts_with("$ ")).collect();
        let (codes, expected): (Vec<&str>, Vec<&str>) =
            said.into_iter().partition(|line| line.starts_with("exit code "));
        let code = codes.first().map_or(0, |line| line["exit code ".len()..].parse().unwrap());
        check(first + index + 1, command, &expected, code, &desk.call(&args[1..]));
        commands += 1;
    }
    assert!(commands > 0, "line {first}: a console without a command");
    commands
}

#[test]
fn every_block_of_the_guide_does_what_it_says() {
    let desk = Desk::empty();
    let (mut files, mut commands) = (0, 0);
    for block in blocks(GUIDE) {
        match block {
            Block::File { path, text } => {
                desk.write(path, text);
                files += 1;
            }
            Block::Console { line, text } => commands += console(&desk, line, text),
        }
    }
    assert!(files >= 9 && commands >= 40, "{files} files, {commands} commands");
}

#[test]
fn t10_the_workflow_calls_commands_that_exist_and_a_bad_policy_stops_it() {
    let desk = Desk::empty();
    let policy = include_str!("../../fixtures/policies/seeds/password.toml");
    desk.write("policies/password.toml", policy);
    let codes = |desk: &Desk| -> Vec<i32> {
        let runs = WORKFLOW.lines().filter_map(|line| line.trim().strip_prefix("run: costwarden "));
        let runs = runs.map(|line| line.split(" > ").next().unwrap().split_whitespace().collect::<Vec<_>>());
        runs.map(|args| desk.call(&args).code).collect()
    };
    assert_eq!(codes(&desk), [0, 0, 0]);
    desk.write("policies/password.toml", policy.replace("length = 11", "length = 12"));
    assert_eq!(codes(&desk), [0, 1, 0]);
    desk.write("policies/password.toml", policy.replace(">= 12", ">= (12"));
    assert_eq!(codes(&desk), [2, 2, 0]);
}
