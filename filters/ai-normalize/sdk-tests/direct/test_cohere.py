"""`cohere` and the mock of Cohere."""

import json

import cohere
import pytest
from cohere.core.api_error import ApiError

from samples import ANSWER, ARGUMENTS, INPUT, NAMES, OUTPUT, PNG, RESULTS, SAID, SCHEMA, SEEN, TEXT, TOLD_BOTH, USE_BOTH

KIND = "cohere"
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES]
ONCE = {"request_options": {"max_retries": 0}}


@pytest.fixture
def client(mock):
    return cohere.ClientV2(api_key="key", base_url=mock.url, timeout=10, log_warning_experimental_features=False)


def user(content):
    return [{"role": "user", "content": content}]


def test_chat(client):
    answer = client.chat(model="command", messages=user(TEXT), temperature=0)
    assert answer.message.content[0].text == SAID
    assert answer.finish_reason == "COMPLETE"
    assert (answer.usage.tokens.input_tokens, answer.usage.tokens.output_tokens) == (INPUT, OUTPUT)


def test_stream(client):
    events = list(client.chat_stream(model="command", messages=user(TEXT)))
    deltas = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    assert "".join(deltas) == SAID and len(deltas) > 1
    assert [event.type for event in events][0::len(events) - 1] == ["message-start", "message-end"]
    assert events[-1].delta.finish_reason == "COMPLETE"
    assert events[-1].delta.usage.tokens.output_tokens == OUTPUT


def test_parallel_tools_over_two_turns(client):
    messages = user(USE_BOTH)
    answer = client.chat(model="command", messages=messages, tools=TOOLS)
    calls = answer.message.tool_calls
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == [(name, ARGUMENTS) for name in NAMES]
    assert answer.finish_reason == "TOOL_CALL"
    messages.append(answer.message)
    messages += [{"role": "tool", "tool_call_id": c.id, "content": r} for c, r in zip(calls, RESULTS)]
    answer = client.chat(model="command", messages=messages, tools=TOOLS)
    assert answer.message.content[0].text == TOLD_BOTH


def test_tools_in_a_stream(client):
    events = list(client.chat_stream(model="command", messages=user(USE_BOTH), tools=TOOLS))
    starts = [event for event in events if event.type == "tool-call-start"]
    assert [event.delta.message.tool_calls.function.name for event in starts] == list(NAMES)
    for start in starts:
        deltas = [event for event in events if event.type == "tool-call-delta" and event.index == start.index]
        pieces = [event.delta.message.tool_calls.function.arguments for event in deltas]
        assert json.loads(start.delta.message.tool_calls.function.arguments + "".join(pieces)) == ARGUMENTS


def test_structured_output(client):
    form = {"type": "json_object", "json_schema": SCHEMA}
    answer = client.chat(model="command", messages=user("where?"), response_format=form)
    assert json.loads(answer.message.content[0].text) == ANSWER


def test_image(client):
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
    assert client.chat(model="command", messages=user(content)).message.content[0].text == SEEN


@pytest.mark.parametrize("status, kind", [
    (400, cohere.BadRequestError), (401, cohere.UnauthorizedError), (404, cohere.NotFoundError),
    (422, cohere.UnprocessableEntityError), (429, cohere.TooManyRequestsError), (500, cohere.InternalServerError),
    (503, cohere.ServiceUnavailableError),
])
def test_errors(client, status, kind):
    with pytest.raises(kind) as error:
        client.chat(model="command", messages=user(f"x mock[error={status};retry_after=3]"), **ONCE)
    assert error.value.status_code == status
    assert error.value.body["message"]
    assert isinstance(error.value, ApiError)


def test_embeddings(client):
    answer = client.embed(model="embed", texts=["ab", "c"], input_type="search_query", embedding_types=["float"], output_dimension=256)
    assert [len(vector) for vector in answer.embeddings.float_] == [256, 256]
