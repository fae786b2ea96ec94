//! Texts as vectors.

use crate::ir::Usage;
use span_json::{Text, Value};

/// A request for vectors.
#[derive(Debug, Clone)]
pub struct EmbeddingsRequest<'a> {
    /// What is to be turned into vectors.
    pub inputs: Inputs<'a>,
    /// How long vectors are to be.
    pub dimensions: Option<&'a str>,
    /// The client wants base64 of little-endian 32-bit floats.
    pub base64: bool,
    /// Who asks, to the provider.
    pub user: Option<Text<'a>>,
    /// What else the client says, by its name.
    pub others: Vec<(Text<'a>, Value<'a>)>,
}

/// What is to be turned into vectors.
#[derive(Debug, Clone)]
pub enum Inputs<'a> {
    /// Texts, at least one.
    Texts(Vec<Text<'a>>),
    /// Tokens of OpenAI's tokenizers, which no other provider can read.
    Tokens,
}

/// Vectors, in the order of the inputs.
#[derive(Debug, Clone, Default)]
pub struct Embeddings<'a> {
    /// One for each input.
    pub vectors: Vec<Vector<'a>>,
    /// The model that the provider says it was.
    pub model: Option<Text<'a>>,
    /// What it cost; `None` if the provider does not tell.
    pub usage: Option<Usage>,
}

/// One vector.
#[derive(Debug, Clone)]
pub enum Vector<'a> {
    /// A JSON array of numbers.
    Floats(Value<'a>),
    /// Base64 of little-endian 32-bit floats.
    Base64(Text<'a>),
}
