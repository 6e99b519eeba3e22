//! The metrics of a corelane server: reads the page before and after a load, and takes the
//! difference. Blocking, on the main thread; a load never waits for a page.

mod difference;
mod http;
mod page;

pub(crate) use self::difference::difference;
pub(crate) use self::http::{Url, read};
