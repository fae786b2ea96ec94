//! What a file asks for that the gateway takes without doing it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A part of the file that Envoy heeds and the embedded gateway does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The path of the value, e.g. `static_resources.clusters[0].health_checks`.
    pub at: String,
    /// What happens instead.
    pub what: &'static str,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not imitated: {}", self.at, self.what)
    }
}

/// The notes on one file, in its reader's order.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Rc<RefCell<Vec<Note>>>);

impl Notes {
    pub(super) fn add(&self, at: &str, what: &'static str) {
        self.0.borrow_mut().push(Note { at: at.to_owned(), what });
    }

    pub(super) fn take(&self) -> Vec<Note> {
        self.0.take()
    }
}
