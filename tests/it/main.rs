//! The integration tests: one binary, a module for each story.

mod conformance;
mod support;
#[cfg(feature = "aws")]
mod wire;
