//! Mocks of AI providers for tests and demonstrations: they take what the real ones take, refuse what those refuse, and answer the same
//! every time, in the real wire formats. No keys, no internet.
//!
//! [`Server`] serves any number of them on the loopback; a request may wish for errors, broken streams and odd timing.

mod answer;
mod anthropic;
mod azure;
mod bedrock;
mod call;
mod cohere;
mod compatible;
mod deepseek;
mod encoding;
mod exchange;
mod fault;
mod gemini;
mod grant;
mod groq;
mod kind;
mod media;
mod mistral;
mod openai;
mod pace;
mod prompt;
mod provider;
mod record;
mod reply;
mod sample;
mod server;
mod shape;
mod socket;
mod sse;
mod text;
mod vector;
mod vertex;
mod wishes;

pub use kind::Kind;
pub use record::Recorded;
pub use server::Server;
