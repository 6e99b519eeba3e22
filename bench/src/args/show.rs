//! The arguments of the verbs that show results: `report` and `compare`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Result files of --json; the plots draw several runs over each other
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: PathBuf,
}

/// The arguments of `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// Result file of --json, the denominator of the ratios
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// Result file of --json, the numerator of the ratios
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
    /// Compare even if a run is marked INVALID
    #[arg(long)]
    pub(crate) allow_invalid: bool,
}
