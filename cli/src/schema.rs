//! `sluice schema`: JSON Schemas of the configurations, made from their types.

use crate::config_file::Known;
use clap::Args;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// Options of `sluice schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Whose configuration.
    #[arg(value_enum)]
    filter: Known,
}

impl Schema {
    /// Prints the schema.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn run(&self) -> Result<(), String> {
        crate::output::print(&text(self.filter)?)
    }
}

/// The schema (draft 2020-12) as text.
fn text(filter: Known) -> Result<String, String> {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let schema = match filter {
        Known::AiNormalize => generator.into_root_schema_for::<ai_normalize::Config>(),
        Known::HeaderRouter => generator.into_root_schema_for::<header_router::Config>(),
        Known::PrefixRewrite => generator.into_root_schema_for::<prefix_rewrite::Config>(),
        Known::RateLimit => generator.into_root_schema_for::<rate_limit::Config>(),
        Known::Suite => generator.into_root_schema_for::<suite::Config>(),
    };
    let mut schema = schema.to_value();
    if let Value::Object(root) = &mut schema {
        root.insert("$id".to_owned(), json!(format!("urn:sluice:schema:{}", filter.name())));
        root.insert("title".to_owned(), json!(format!("Configuration of {}", filter.name())));
    }
    plain(&mut schema);
    let text = serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())?;
    Ok(format!("{text}\n"))
}

/// Leaves out formats that only say how large a Rust type is, and joins the lines of descriptions.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let rust = |format: &Value| {
                format.as_str().is_some_and(|format| format.starts_with("uint") || format.starts_with("int"))
            };
            if map.get("format").is_some_and(rust) {
                map.remove("format");
            }
            if let Some(Value::String(description)) = map.get_mut("description") {
                *description = description.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
            }
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
