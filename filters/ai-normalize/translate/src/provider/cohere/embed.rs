//! Embeddings.

use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Inputs, Usage, Vector};
use crate::report::Report;
use crate::target::Target;
use span_json::{Value, Writer};

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
    out.object(|out| {
        out.key("model").string(target.model);
        out.key("texts").array(|out| texts.iter().for_each(|text| out.text(text)));
        // the provider wants one; the variable `input_type` says another
        out.key("input_type").string(target.variables.get("input_type").map_or("search_document", String::as_str));
        out.key("embedding_types").raw(r#"["float"]"#);
        if let Some(dimensions) = request.dimensions {
            out.key("output_dimension").raw(dimensions);
        }
    });
    Ok(out.finish())
}

pub(super) fn response(root: Value<'_>) -> Result<Embeddings<'_>, ApiError> {
    let list = root.at(&["embeddings", "float"]).ok_or_else(|| ApiError::unreadable("expected embeddings"))?;
    let input = root.at(&["meta", "billed_units", "input_tokens"]).and_then(|tokens| tokens.u64());
    Ok(Embeddings {
        vectors: list.elements().map(Vector::Floats).collect(),
        model: None,
        usage: input.map(|input| Usage { input, ..Usage::default() }),
    })
}
