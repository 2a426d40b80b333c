//! What the integration tests run against: a Python environment with real peers, and the AWS of the wire tests.

pub mod python;
pub mod smtp;

#[cfg(feature = "aws")]
pub mod fixtures;
#[cfg(feature = "aws")]
pub mod moto;
