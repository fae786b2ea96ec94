//! Mocks of AI providers for tests and demonstrations: they take what the real ones take, refuse what those refuse, and answer the same
//! every time, in the real wire formats. No keys, no internet.
//!
//! [`Server`] serves any number of them on the loopback; a request may wish for errors, broken streams and odd timing.

mod answer;
#[allow(dead_code)]
mod anthropic;
mod call;
mod encoding;
mod exchange;
mod grant;
mod kind;
mod media;
#[allow(dead_code)]
mod openai;
mod pace;
mod prompt;
mod provider;
mod record;
mod reply;
mod sample;
mod server;
#[allow(dead_code)]
mod shape;
mod socket;
#[allow(dead_code)]
mod sse;
mod text;
mod vector;
mod wishes;

pub use kind::Kind;
pub use record::Recorded;
pub use server::Server;
