use crate::exchange::{Pair, check_stream, framed, streamed};
use crate::{Input, Target};

pub(super) const TARGET: Target = Target {
    name: "stream",
    run,
    seeds,
    dictionary: &[
        b"data: ",
        b"\n\n",
        b"\r\n",
        b"data: [DONE]\n\n",
        b"\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]",
        b"\"finish_reason\":\"stop\"",
        b"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}",
        b"{\"error\":{\"message\":\"x\"}}",
        b"{\"type\":\"message_start\",\"message\":{\"id\":\"a\"}}",
        b"{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\"}}",
        b"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}",
        b"{\"type\":\"message_stop\"}",
        b"\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]},\"finishReason\":\"STOP\"}]",
        b"contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"x\"}}\n",
        b"messageStop {\"stopReason\":\"end_turn\"}\n",
        b"throttlingException {\"message\":\"x\"}\n",
        b"{\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"x\"}}}}",
    ],
};

/// Any bytes as the stream of any provider to any client: the same under every split, one end or one error.
fn run(bytes: &[u8]) {
    let Some(input) = Input::new(bytes) else { return };
    let pair = Pair::numbered(input.mode());
    let answering = pair.plain(true);
    let stream = framed(pair.provider, input.text);
    let seen = input.same_under_splits(&stream, |pieces| streamed(&answering, pieces));
    check_stream(&answering, &seen);
}

fn seeds() -> Vec<Vec<u8>> {
    let streams = [
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"x\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\ndata: [DONE]\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"a\",\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"x\"},{\"functionCall\":{\"name\":\"f\",\"args\":{}}}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}\r\n\r\n",
        "messageStart {\"role\":\"assistant\"}\ncontentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"x\"}}\ncontentBlockStop {\"contentBlockIndex\":0}\nmessageStop {\"stopReason\":\"end_turn\"}\nmetadata {\"usage\":{\"inputTokens\":1,\"outputTokens\":2}}\n",
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"model\":\"m\"}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"x\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"usage\":{\"input_tokens\":1}}}\n\n",
        "chunk {\"bytes\":\"eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=\"}\n",
        "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"a\"}\n\nevent: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"x\"}}}}\n\nevent: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"tokens\":{\"input_tokens\":1,\"output_tokens\":2}}}}\n\n",
    ];
    let modes = (0..Pair::all().count()).map(|number| u8::try_from(number).unwrap());
    modes.flat_map(|mode| streams.map(|stream| Input::seed(mode, stream.as_bytes()))).collect()
}
