//! A watched file: looked at each second, read when its text may have changed.
//!
//! A watch by the kernel would cost more code, system calls in the sandbox, and cases: links, later
//! folders, network file systems. A file replaced by a rename is never seen half; a half written
//! file is a mistake until the next look.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::read_file;
use super::report::{FoundEndpoint, Reports};
use crate::config::{endpoints_of, is_json};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks from one report to the next without a change: the age of an answer stays below.
const LOOKS: u32 = 15;
/// The largest file, as of a configuration: some 100,000 endpoints.
const BYTES_MAX: u64 = 4 << 20;
/// A file up to this size is read at each look: the text tells for sure.
const SMALL_BYTES: u64 = 64 << 10;

/// What tells a changed file from the one read before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// Watches a file, for ever.
#[expect(clippy::infinite_loop, reason = "the end of the task ends it")]
pub(super) async fn watch_file(path: &Path, reports: &Reports) {
    let mut known: Option<(Stamp, String)> = None;
    let mut looks = LOOKS;
    loop {
        let read = look(path, known.as_ref());
        looks += 1;
        match read {
            Ok(None) if looks < LOOKS => {}
            Ok(None) => {
                // The same endpoints as before, or the same mistake.
                let text = known.as_ref().map_or("", |(_, text)| text);
                looks = report(path, text, reports);
            }
            Ok(Some((stamp, text))) => {
                looks = report(path, &text, reports);
                known = Some((stamp, text));
            }
            Err(why) => {
                if known.take().is_some() || looks >= LOOKS {
                    reports.failed(why, Some(LOOK_EVERY));
                    looks = 0;
                }
            }
        }
        if reports.pause_or_told(LOOK_EVERY).await {
            looks = LOOKS;
        }
    }
}

/// The text, if it may differ from the known text.
fn look(path: &Path, known: Option<&(Stamp, String)>) -> Result<Option<(Stamp, String)>, String> {
    let found = fs::metadata(path).map_err(|error| in_words(&error))?;
    let stamp = Stamp {
        modified: found.modified().ok(),
        length: found.len(),
    };
    if !found.is_file() {
        return Err("no ordinary file".to_owned());
    }
    if known.is_some_and(|(of, _)| *of == stamp) && stamp.length > SMALL_BYTES {
        return Ok(None);
    }
    let text = read_file(path, BYTES_MAX).map_err(|error| in_words(&error))?;
    let is_same = known.is_some_and(|(_, of)| *of == text);
    Ok((!is_same).then_some((stamp, text)))
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "the user of the server may not read the file, or the sandbox does not permit it".into()
        }
        io::ErrorKind::InvalidData => "not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

/// Reports the endpoints of a text, or the mistake; begins to count looks.
fn report(path: &Path, text: &str, reports: &Reports) -> u32 {
    match endpoints_of(text, is_json(&path.to_string_lossy())) {
        Ok(all) => {
            let found = all.iter().map(FoundEndpoint::whole).collect();
            reports.found(found, Some(LOOK_EVERY));
        }
        Err(why) => reports.failed(why, Some(LOOK_EVERY)),
    }
    0
}
