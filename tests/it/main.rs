//! The integration tests: one binary, a module for each story.

mod accidents;
mod cli;
mod conformance;
mod corpus;
mod cutting;
#[cfg(feature = "aws")]
mod daemon;
mod demo;
#[cfg(feature = "aws")]
mod e2e;
mod exceptions;
mod faults;
mod guide;
mod hazards;
mod logins;
mod mail;
mod mailless;
mod night;
mod owners;
mod planted;
#[cfg(feature = "aws")]
mod process;
mod readme;
mod recovery;
#[cfg(feature = "pdf")]
mod report_pdf;
mod rights;
mod seed_flaws;
mod settled;
mod slack;
mod support;
mod teams;
mod tidy;
mod versions;
#[cfg(feature = "aws")]
mod wire;
mod worlds;
mod zones;
