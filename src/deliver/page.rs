//! One letter in two forms: plain text and HTML from the same words.
//!
//! Notices, budget messages and alerts fill a [`Letter`]; neither form can say what the other does not. All foreign
//! text is cleaned by whoever fills it and escaped here.

use std::sync::LazyLock;

use anyhow::{Context, Result};
use minijinja::{Environment, Value, context};

use crate::domain::notice::WAYS_TO_STOP;

/// Parsed once: a night writes many letters.
static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    // One that does not parse is missing when it is asked for, which the tests would show.
    let _ = pages.add_template("notice.html", include_str!("templates/notice.html"));
    pages
});

/// What a letter says.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// The subject line; also the page's title.
    pub subject: String,
    /// The heading.
    pub title: String,
    /// First paragraphs.
    pub opening: Vec<String>,
    /// What it is about, group by group.
    pub groups: Vec<Group>,
    /// Whether to say how an act is stopped.
    pub ways_to_stop: bool,
    /// The last line: why the reader gets this.
    pub closing: String,
    /// The colour of the page's top.
    pub accent: &'static str,
}

/// Items of one sort.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its heading.
    pub heading: String,
    /// Its colour; never the only sign.
    pub accent: &'static str,
    /// At least one.
    pub items: Vec<Item>,
}

/// One resource, or one thing that happened.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// What it is about.
    pub resource: String,
    /// Where it is.
    pub place: String,
    /// What happens or happened.
    pub sentence: String,
    /// Why, figures, backups, ids.
    pub details: Vec<String>,
}

impl Letter {
    /// As plain text.
    pub fn text(&self) -> String {
        let mut out = vec![self.title.clone(), String::new()];
        for paragraph in &self.opening {
            out.extend([paragraph.clone(), String::new()]);
        }
        for group in &self.groups {
            out.extend([group.heading.clone(), "-".repeat(group.heading.chars().count())]);
            for item in &group.items {
                let place = if item.place.is_empty() { String::new() } else { format!(", {}", item.place) };
                out.push(format!("* {}{place}", item.resource));
                out.push(format!("  {}", item.sentence));
                out.extend(item.details.iter().map(|detail| format!("  {detail}")));
            }
            out.push(String::new());
        }
        if self.ways_to_stop {
            out.push("How to stop it:".to_owned());
            out.extend(WAYS_TO_STOP.iter().map(|(what, brings)| format!("- {what}: {brings}.")));
            out.push(String::new());
        }
        out.push(self.closing.clone());
        out.push(String::new());
        out.join("\n")
    }

    /// As HTML.
    pub fn html(&self) -> Result<String> {
        let groups: Vec<Value> = (self.groups.iter())
            .map(|group| {
                let items: Vec<Value> = (group.items.iter())
                    .map(|item| {
                        context! {
                            resource => item.resource.clone(),
                            place => item.place.clone(),
                            sentence => item.sentence.clone(),
                            details => item.details.clone(),
                        }
                    })
                    .collect();
                context! { heading => group.heading.clone(), accent => group.accent, items => items }
            })
            .collect();
        let ways: Vec<Vec<&str>> = if self.ways_to_stop {
            WAYS_TO_STOP.iter().map(|(what, brings)| vec![*what, *brings]).collect()
        } else {
            Vec::new()
        };
        let page = PAGES.get_template("notice.html").context("the notice's HTML template does not parse")?;
        page.render(context! {
            subject => self.subject.clone(),
            title => self.title.clone(),
            opening => self.opening.clone(),
            groups => groups,
            ways => ways,
            closing => self.closing.clone(),
            accent => self.accent,
        })
        .context("laying out a notice as HTML")
    }
}
