//! Rights that `doctor` asks for with `DryRun`, and what their answers mean.
