//! OpenAI's Embeddings, as clients speak it.

use crate::context::Context;
use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Inputs, Usage, Vector};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use span_json::{Kind, Text, Value, Writer};

/// Most inputs of one request, as OpenAI has it.
const MAX_INPUTS: usize = 2048;

/// A request for vectors.
///
/// # Errors
/// What is wrong with it, and where.
pub fn request<'a>(root: Value<'a>) -> Result<EmbeddingsRequest<'a>, ApiError> {
    let mut request =
        EmbeddingsRequest { inputs: Inputs::Tokens, dimensions: None, base64: false, user: None, others: Vec::new() };
    let wrong = |name: &str, expected: &str, value: Value<'_>| {
        ApiError::invalid(format!("{name}: expected {expected}, found {}", value.raw_short())).param(name.to_owned())
    };
    for (name, value) in root.members().filter(|(_, value)| !value.is_null()) {
        match name.decode().as_ref() {
            "model" | "input" => {}
            "dimensions" => {
                request.dimensions = Some(value.number().ok_or_else(|| wrong("dimensions", "a number", value))?)
            }
            "user" => request.user = Some(value.text().ok_or_else(|| wrong("user", "a string", value))?),
            "encoding_format" => match value.str().as_deref() {
                Some("base64") => request.base64 = true,
                Some("float") => request.base64 = false,
                _ => return Err(wrong("encoding_format", "\"float\" or \"base64\"", value)),
            },
            _ => request.others.push((name, value)),
        }
    }
    let input = root.given("input").ok_or_else(|| ApiError::invalid("input: expected texts").param("input"))?;
    request.inputs = inputs(input)?;
    Ok(request)
}

fn inputs(input: Value<'_>) -> Result<Inputs<'_>, ApiError> {
    let wrong = || {
        let expected = "expected a string, strings, or tokens";
        ApiError::invalid(format!("input: {expected}, found {}", input.raw_short())).param("input")
    };
    if let Some(text) = input.text() {
        return Ok(Inputs::Texts(vec![text]));
    }
    let mut elements = input.elements().peekable();
    match elements.peek().map(Value::kind) {
        Some(Kind::String) => {
            let texts: Option<Vec<Text<'_>>> = elements.map(|element| element.text()).collect();
            let texts = texts.ok_or_else(wrong)?;
            if texts.len() > MAX_INPUTS {
                return Err(ApiError::invalid(format!("input: expected at most {MAX_INPUTS} texts")).param("input"));
            }
            Ok(Inputs::Texts(texts))
        }
        Some(Kind::Number | Kind::Array) => Ok(Inputs::Tokens),
        _ => Err(wrong()),
    }
}

/// Vectors, as the request wants them.
///
/// # Errors
/// If they are no numbers.
pub fn response(embeddings: &Embeddings<'_>, context: &Context) -> Result<Vec<u8>, ApiError> {
    let wants_base64 = context.hints.notes.contains(&BASE64);
    let mut out = Writer::default();
    out.object(|out| {
        out.key("object").string("list");
        out.key("data").array(|out| {
            for (index, vector) in embeddings.vectors.iter().enumerate() {
                out.object(|out| {
                    out.key("object").string("embedding");
                    out.key("index").number(u64::try_from(index).unwrap_or(u64::MAX));
                    out.key("embedding");
                    write_vector(vector, wants_base64, out)
                })?;
            }
            Ok(())
        })?;
        let model = embeddings.model.as_ref().map(Text::decode);
        out.key("model").string(&context.model(model.as_deref()));
        let Usage { input, .. } = embeddings.usage.unwrap_or_default();
        out.key("usage").object(|out| {
            out.key("prompt_tokens").number(input);
            out.key("total_tokens").number(input);
        });
        Ok::<_, ApiError>(())
    })?;
    Ok(out.finish())
}

/// A note among the hints: the client wants base64.
pub(crate) const BASE64: &str = "base64";

fn write_vector(vector: &Vector<'_>, base64: bool, out: &mut Writer) -> Result<(), ApiError> {
    match vector {
        Vector::Base64(text) if base64 => out.text(text),
        Vector::Base64(text) => {
            let bytes =
                STANDARD.decode(text.decode().as_bytes()).map_err(|_| ApiError::unreadable("expected base64"))?;
            out.array(|out| {
                for number in bytes.as_chunks::<4>().0 {
                    out.raw(&f32::from_le_bytes(*number).to_string());
                }
            });
        }
        Vector::Floats(numbers) if !base64 => out.value(*numbers),
        Vector::Floats(numbers) => {
            let mut bytes = Vec::new();
            for number in numbers.elements() {
                let number: f32 = number
                    .number()
                    .and_then(|digits| digits.parse().ok())
                    .ok_or_else(|| ApiError::unreadable("expected numbers"))?;
                bytes.extend(number.to_le_bytes());
            }
            out.string(&STANDARD.encode(&bytes));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use span_json::{Doc, Limits};

    #[test]
    fn vectors_are_written_as_they_are_wanted() {
        let doc = Doc::parse(b"[1, -0.5]", Limits::default()).unwrap();
        let mut context = Context { sent_model: "m".into(), ..Context::default() };
        let write = |vector, context: &Context| {
            let embeddings = Embeddings { vectors: vec![vector], ..Embeddings::default() };
            String::from_utf8(response(&embeddings, context).unwrap()).unwrap()
        };
        let json = |embedding: &str| {
            format!(
                r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":{embedding}}}],"model":"m","usage":{{"prompt_tokens":0,"total_tokens":0}}}}"#
            )
        };
        assert_eq!(write(Vector::Floats(doc.root()), &context), json("[1, -0.5]"));
        assert_eq!(write(Vector::Base64("AACAPwAAAL8=".into()), &context), json("[1,-0.5]"));
        context.hints.notes.push(BASE64);
        assert_eq!(write(Vector::Floats(doc.root()), &context), json("\"AACAPwAAAL8=\""));
    }
}
