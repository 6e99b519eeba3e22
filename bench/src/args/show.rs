//! The arguments of the verbs that show results: `report` and `compare`.

use std::path::PathBuf;

use clap::Args;

/// `report`, as written.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Results that --json wrote; several are drawn over each other
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Where the report goes to; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: PathBuf,
}

/// `compare`, as written.
#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// Results that --json wrote
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// Results to divide by those of A
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
    /// Compare runs too that are marked INVALID
    #[arg(long)]
    pub(crate) allow_invalid: bool,
}
