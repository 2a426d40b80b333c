//! The integration tests: one binary, a module for each story.

mod conformance;
mod support;
mod tidy;
#[cfg(feature = "aws")]
mod wire;
mod worlds;
