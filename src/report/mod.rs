//! Layout: `domain::report::Report` in, text, HTML, JSON, CSV or PDF out.
//!
//! Every number is decided before it comes here, so the forms cannot disagree; `words` holds the phrases that they
//! share. Called by `worker` (daily and weekly mail), `cli` (`report`) and the demo. All foreign text passes
//! `domain::text::clean` and then the sink's own encoder. `pdf` is the only user of printpdf and exists with the
//! feature `pdf` alone. Leaves out: reading the store (`engine::summarize` fills a report), and sending (`deliver`).

pub mod csv;
pub mod html;
pub mod json;
#[cfg(feature = "pdf")]
pub mod pdf;
pub mod review;
pub mod run;
pub mod sample;
pub mod text;
pub mod words;

pub use sample::sample;
