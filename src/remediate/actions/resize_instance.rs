//! Resizing an instance (R10): not before there is compensation for a resize that dies half-way (safety.md, H21).

/// Why there is no handler.
pub const NOT_AVAILABLE: &str = "resize not available";
