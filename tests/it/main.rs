//! The integration tests: one binary, one module per story.

mod support;
#[cfg(feature = "aws")]
mod wire;
