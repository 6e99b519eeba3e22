//! `report`: one HTML file with plots and tables of one run or several. The file opens from disk
//! with no network.

mod axis;
mod duel;
mod markup;
mod page;
mod plot;
mod plots;
mod run;
mod tables;
mod write;

pub(crate) use self::write::report;
