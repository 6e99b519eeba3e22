//! `report`: one HTML file with plots and tables of one or more runs. The page needs no network.

mod axis;
mod duel;
mod markup;
mod page;
mod plot;
mod plots;
mod run;
mod server;
mod tables;
mod write;

pub(crate) use self::write::report;
