//! The list of models, from the table.

use crate::models::{Model, Models};
use ai_translate::client::Kind;
use span_json::Writer;

/// OpenAI's `GET /v1/models`, or Anthropic's.
pub(crate) fn all(models: &Models, kind: Kind) -> Vec<u8> {
    let mut out = Writer::default();
    out.object(|out| {
        if kind != Kind::Messages {
            out.key("object").string("list");
        }
        out.key("data").array(|out| {
            for (name, model) in models.listed() {
                write(name, model, models, kind, out);
            }
        });
        if kind == Kind::Messages {
            let names: Vec<&str> = models.listed().map(|(name, _)| name).collect();
            out.key("has_more").bool(false);
            for (member, name) in [("first_id", names.first()), ("last_id", names.last())] {
                match name {
                    Some(name) => out.key(member).string(name),
                    None => out.key(member).null(),
                }
            }
        }
    });
    out.finish()
}

/// One of them.
pub(crate) fn one(name: &str, models: &Models, kind: Kind) -> Option<Vec<u8>> {
    let (name, model) = models.listed().find(|(known, _)| *known == name)?;
    let mut out = Writer::default();
    write(name, model, models, kind, &mut out);
    Some(out.finish())
}

/// Nobody knows when a name came into a configuration: the time is the begin of 1970.
fn write(name: &str, model: &Model, models: &Models, kind: Kind, out: &mut Writer) {
    out.object(|out| {
        if kind == Kind::Messages {
            out.key("type").string("model");
            out.key("id").string(name);
            out.key("display_name").string(name);
            out.key("created_at").string("1970-01-01T00:00:00Z");
            return;
        }
        out.key("id").string(name);
        out.key("object").string("model");
        out.key("created").number(0);
        out.key("owned_by").string(models.provider(model).map_or("", |provider| &provider.name));
    });
}
