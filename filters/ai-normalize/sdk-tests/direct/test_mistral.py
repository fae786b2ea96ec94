"""`mistralai` and the mock of Mistral."""

import json

import pytest
from mistralai.client import Mistral, errors

from samples import ANSWER, ARGUMENTS, INPUT, NAMES, OUTPUT, PNG, RESULTS, SAID, SCHEMA, SEEN, TEXT, TOLD_BOTH, USE_BOTH

KIND = "mistral"
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES]


@pytest.fixture
def client(mock):
    return Mistral(api_key="key", server_url=mock.url, retry_config=None, timeout_ms=10_000)


def user(content):
    return [{"role": "user", "content": content}]


def test_chat(client):
    answer = client.chat.complete(model="mistral", messages=user(TEXT), temperature=0)
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT, OUTPUT)


def test_stream(client):
    with client.chat.stream(model="mistral", messages=user(TEXT)) as stream:
        chunks = [event.data for event in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == OUTPUT


def test_parallel_tools_over_two_turns(client):
    messages = user(USE_BOTH)
    answer = client.chat.complete(model="mistral", messages=messages, tools=TOOLS)
    calls = answer.choices[0].message.tool_calls
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == [(name, ARGUMENTS) for name in NAMES]
    assert answer.choices[0].finish_reason == "tool_calls"
    messages.append(answer.choices[0].message)
    messages += [{"role": "tool", "tool_call_id": c.id, "name": c.function.name, "content": r} for c, r in zip(calls, RESULTS)]
    answer = client.chat.complete(model="mistral", messages=messages, tools=TOOLS)
    assert answer.choices[0].message.content == TOLD_BOTH


def test_tools_in_a_stream(client):
    with client.chat.stream(model="mistral", messages=user(USE_BOTH), tools=TOOLS) as stream:
        choices = [event.data.choices[0] for event in stream]
    calls = [call for choice in choices for call in choice.delta.tool_calls or []]
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == [(name, ARGUMENTS) for name in NAMES]
    assert choices[-1].finish_reason == "tool_calls"


def test_structured_output(client):
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
    answer = client.chat.complete(model="mistral", messages=user("where?"), response_format=form)
    assert json.loads(answer.choices[0].message.content) == ANSWER


def test_image(client):
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
    assert client.chat.complete(model="mistral", messages=user(content)).choices[0].message.content == SEEN


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_errors(client, status):
    with pytest.raises(errors.MistralError) as error:
        client.chat.complete(model="mistral", messages=user(f"x mock[error={status};retry_after=3]"))
    assert error.value.status_code == status
    assert error.value.headers["retry-after"] == "3"


def test_a_wrong_request_is_refused_in_its_own_form(client):
    with pytest.raises(errors.HTTPValidationError) as error:
        client.chat.complete(model="mistral", messages=user(TEXT), temperature=7)
    assert error.value.status_code == 422


def test_embeddings(client):
    answer = client.embeddings.create(model="mistral-embed", inputs=["ab", "c"])
    assert len(answer.data) == 2 and answer.data[0].embedding != answer.data[1].embedding
