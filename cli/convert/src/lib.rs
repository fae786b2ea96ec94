//! Manifests of App Mesh, Ingress and the Gateway API as configuration of the header-router and of Envoy.
//!
//! [`convert`] is text in, data out: no file is opened here. What it makes is a [`model::Model`], which [`emit`] writes as
//! the files of a set, and a [`report::Report`] that says what became of every field.

pub mod app_mesh;
pub mod convert;
pub mod emit;
pub mod gateway_api;
pub mod ingress;
pub mod model;
mod objects;
pub mod parts;
pub mod report;
pub mod schema;
mod services;
pub mod source;

pub use convert::{Converted, Dialect, Options, Style, convert};
pub use report::{Report, Section};
pub use source::Mistake;
