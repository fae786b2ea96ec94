//! What Mistral checks beyond the shape of a request.

use crate::openai::flavour::Flavour;
use crate::openai::read::{array, is_true, string};
use crate::openai::rules;
use crate::reply::Refused;
use serde_json::Value;

/// The length of all ids of calls.
const ID: usize = 9;

/// The order of messages, and the ids of calls.
pub fn check(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    let order = |message: &str| flavour.refuse(400, message, None, Some("3230"));
    let messages = array(body, "messages");
    for message in messages {
        let calls = array(message, "tool_calls").iter().map(|call| string(call, "id"));
        let answered = message.get("tool_call_id").map(|_| string(message, "tool_call_id"));
        for id in calls.chain(answered) {
            if id.len() != ID || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let why = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of {ID}.");
                return flavour.refuse(400, &why, None, Some("3280"));
            }
        }
        if string(message, "role") == "assistant"
            && array(message, "tool_calls").is_empty()
            && message.get("content").is_none_or(|content| content.is_null() || content == "")
        {
            return flavour.refuse(
                400,
                "Assistant message must have either content or tool_calls, but not none.",
                None,
                Some("3240"),
            );
        }
    }
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        match string(message, "role") {
            "tool" => match open.iter().position(|id| *id == string(message, "tool_call_id")) {
                Some(found) => drop(open.remove(found)),
                None => return order("Unexpected tool call id in tool results"),
            },
            _ if !open.is_empty() => return order("Not the same number of function calls and responses"),
            _ => open = array(message, "tool_calls").iter().map(|call| string(call, "id")).collect(),
        }
    }
    if !open.is_empty() {
        return order("Not the same number of function calls and responses");
    }
    let last = messages.last().unwrap_or(&Value::Null);
    let role = string(last, "role");
    if role == "system" || role == "assistant" && !is_true(last, "prefix") {
        let why = format!("Expected last role User or Tool (or Assistant with prefix True) for serving but got {role}");
        return order(&why);
    }
    rules::tools(flavour, body)
}
