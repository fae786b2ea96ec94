//! What a request loses on its way.

use crate::ir::ApiError;
use std::borrow::Cow;

/// Something of a request that the provider gets otherwise, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The parameter or member, in the client's words: `seed`, `messages[].name`.
    pub what: Cow<'static, str>,
    /// What becomes of it, in a few words.
    pub why: &'static str,
    /// It is gone; otherwise it has been changed.
    pub dropped: bool,
}

/// Collects what is lost, or refuses it.
#[derive(Debug, Default)]
pub struct Report {
    strict: bool,
    notes: Vec<Note>,
}

impl Report {
    /// `strict` refuses whatever would be lost.
    pub fn new(strict: bool) -> Self {
        Self { strict, notes: Vec::new() }
    }

    /// Something is dropped.
    ///
    /// # Errors
    /// 400 with its name, if nothing may be.
    pub fn drop(&mut self, what: impl Into<Cow<'static, str>>, why: &'static str) -> Result<(), ApiError> {
        self.note(what.into(), why, true)
    }

    /// Something is changed in a way that may matter.
    ///
    /// # Errors
    /// As [`Report::drop`].
    pub fn adapt(&mut self, what: impl Into<Cow<'static, str>>, why: &'static str) -> Result<(), ApiError> {
        self.note(what.into(), why, false)
    }

    fn note(&mut self, what: Cow<'static, str>, why: &'static str, dropped: bool) -> Result<(), ApiError> {
        if self.strict {
            return Err(ApiError::unsupported(what, why));
        }
        let note = Note { what, why, dropped };
        // one of a thousand parts says as much as all of them
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        Ok(())
    }

    /// What has been noted, each once, in order.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The same.
    pub fn into_notes(self) -> Vec<Note> {
        self.notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_told_once_or_refused() {
        let mut lenient = Report::new(false);
        assert_eq!(
            (lenient.drop("seed", "a"), lenient.drop("seed", "a"), lenient.adapt("stop", "b")),
            (Ok(()), Ok(()), Ok(()))
        );
        let told: Vec<_> = lenient.notes().iter().map(|note| (note.what.as_ref(), note.dropped)).collect();
        assert_eq!(told, [("seed", true), ("stop", false)]);
        let error = Report::new(true).drop("seed", "the provider has nothing like it").unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some("seed")));
        assert_eq!(error.message, "seed: the provider has nothing like it");
    }
}
