//! JSON as checked spans of its text.
//!
//! [`Doc::parse`] checks a whole text once (RFC 8259) and notes where each value begins and ends. Strings stay as they stand in the text, escapes
//! and all, so that a value goes from one document into another without being decoded ([`Text`], [`Writer`]), and
//! a document is changed by its spans ([`Patch`]). Numbers stay text: no digit is lost.

mod doc;
mod patch;
mod scan;
mod text;
mod value;
mod write;

pub use doc::{Doc, InvalidJson, Limits};
pub use patch::{Edit, Patch};
pub use text::Text;
pub use value::{Kind, Value};
pub use write::Writer;
