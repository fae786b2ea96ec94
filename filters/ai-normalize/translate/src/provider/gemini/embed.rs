//! Embeddings.

use super::Service;
use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Inputs, Usage, Vector};
use crate::report::Report;
use crate::target::Target;
use span_json::{Text, Value, Writer};

/// The method, and the body.
pub(super) fn request(
    service: Service,
    request: &EmbeddingsRequest<'_>,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<(&'static str, Vec<u8>), ApiError> {
    let Inputs::Texts(texts) = &request.inputs else {
        return Err(ApiError::invalid("input: this provider takes texts, not tokens").param("input"));
    };
    if request.user.is_some() {
        report.drop("user", "this provider has nothing like it")?;
    }
    let task = target.variables.get("task_type");
    let mut out = Writer::with_capacity(1024);
    let method = match service {
        Service::Studio => {
            out.object(|out| {
                out.key("requests").array(|out| {
                    for text in texts {
                        studio(text, request, task, target, out);
                    }
                });
            });
            "batchEmbedContents"
        }
        Service::Vertex => {
            out.object(|out| {
                out.key("instances").array(|out| {
                    for text in texts {
                        out.object(|out| {
                            out.key("content").text(text);
                            if let Some(task) = task {
                                out.key("task_type").string(task);
                            }
                        });
                    }
                });
                if let Some(dimensions) = request.dimensions {
                    out.key("parameters").object(|out| out.key("outputDimensionality").raw(dimensions));
                }
            });
            "predict"
        }
    };
    Ok((method, out.finish()))
}

fn studio(
    text: &Text<'_>,
    request: &EmbeddingsRequest<'_>,
    task: Option<&String>,
    target: &Target<'_>,
    out: &mut Writer,
) {
    out.object(|out| {
        out.key("model").string(&format!("models/{}", target.model));
        out.key("content").object(|out| {
            out.key("parts").array(|out| out.object(|out| out.key("text").text(text)));
        });
        if let Some(dimensions) = request.dimensions {
            out.key("outputDimensionality").raw(dimensions);
        }
        if let Some(task) = task {
            out.key("taskType").string(task);
        }
    });
}

pub(super) fn response(root: Value<'_>) -> Result<Embeddings<'_>, ApiError> {
    let none = || ApiError::unreadable("expected embeddings");
    if let Some(list) = root.get("embeddings") {
        let vectors: Option<Vec<_>> = list.elements().map(|entry| entry.get("values").map(Vector::Floats)).collect();
        return Ok(Embeddings { vectors: vectors.ok_or_else(none)?, model: None, usage: None });
    }
    let predictions = root.get("predictions").ok_or_else(none)?;
    let mut tokens = 0_u64;
    let mut vectors = Vec::new();
    for prediction in predictions.elements() {
        let embedding = prediction.get("embeddings").ok_or_else(none)?;
        vectors.push(Vector::Floats(embedding.get("values").ok_or_else(none)?));
        let count = embedding.at(&["statistics", "token_count"]).and_then(|count| count.u64());
        tokens = tokens.saturating_add(count.unwrap_or(0));
    }
    Ok(Embeddings { vectors, model: None, usage: Some(Usage { input: tokens, ..Usage::default() }) })
}
