//! Embeddings, which each maker of models has its own form for. The variable `embedding` says which: `titan`, `cohere` or `nova`.

use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Inputs, Usage, Vector};
use crate::provider::AnswerHead;
use crate::report::Report;
use crate::target::Target;
use span_json::{Kind, Text, Value, Writer};

pub(super) fn request(
    request: &EmbeddingsRequest<'_>,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<Vec<u8>, ApiError> {
    let Inputs::Texts(texts) = &request.inputs else {
        return Err(ApiError::invalid("input: this provider takes texts, not tokens").param("input"));
    };
    if request.user.is_some() {
        report.drop("user", "this provider has nothing like it")?;
    }
    let mut out = Writer::default();
    let form = target.variables.get("embedding").map_or("titan", String::as_str);
    if form == "cohere" {
        out.object(|out| {
            out.key("texts").array(|out| texts.iter().for_each(|text| out.text(text)));
            out.key("input_type").string(target.variables.get("input_type").map_or("search_document", String::as_str));
            out.key("embedding_types").raw(r#"["float"]"#);
            if let Some(dimensions) = request.dimensions {
                out.key("output_dimension").raw(dimensions);
            }
        });
        return Ok(out.finish());
    }
    let [text] = texts.as_slice() else {
        return Err(ApiError::invalid("input: this model takes one text for each request").param("input"));
    };
    match form {
        "nova" => nova(text, request, &mut out),
        _ => out.object(|out| {
            out.key("inputText").text(text);
            if let Some(dimensions) = request.dimensions {
                out.key("dimensions").raw(dimensions);
            }
        }),
    }
    Ok(out.finish())
}

fn nova(text: &Text<'_>, request: &EmbeddingsRequest<'_>, out: &mut Writer) {
    out.object(|out| {
        out.key("taskType").string("SINGLE_EMBEDDING");
        out.key("singleEmbeddingParams").object(|out| {
            out.key("embeddingPurpose").string("GENERIC_INDEX");
            if let Some(dimensions) = request.dimensions {
                out.key("embeddingDimension").raw(dimensions);
            }
            out.key("text").object(|out| {
                out.key("truncationMode").string("END");
                out.key("value").text(text);
            });
        });
    });
}

pub(super) fn response<'a>(root: Value<'a>, head: &AnswerHead<'a>) -> Result<Embeddings<'a>, ApiError> {
    let by_header = || head.header("x-amzn-bedrock-input-token-count")?.parse::<u64>().ok();
    let tokens = root.u64_of("inputTextTokenCount").or_else(by_header);
    let usage = tokens.map(|input| Usage { input, ..Usage::default() });
    let none = || ApiError::unreadable("expected an embedding");
    if let Some(vector) = root.get("embedding").filter(|vector| vector.kind() == Kind::Array) {
        return Ok(Embeddings { vectors: vec![Vector::Floats(vector)], model: None, usage });
    }
    let list = root.get("embeddings").ok_or_else(none)?;
    let list = list.get("float").unwrap_or(list);
    let vector = |entry: Value<'a>| match entry.kind() {
        Kind::Array => Some(Vector::Floats(entry)),
        _ => entry.get("embedding").map(Vector::Floats),
    };
    let vectors: Option<Vec<_>> = list.elements().map(vector).collect();
    Ok(Embeddings { vectors: vectors.ok_or_else(none)?, model: None, usage })
}
