//! A model as files.

pub mod bootstrap;
pub mod files;
pub mod native;
pub mod policy;
pub mod router;
pub mod sample;
pub mod scenarios;
pub mod targets;
pub mod yaml;

pub use bootstrap::Place;
pub use files::{Set, files};
