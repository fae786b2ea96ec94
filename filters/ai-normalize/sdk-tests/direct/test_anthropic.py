"""`anthropic` and the mock of Anthropic."""

import anthropic
import pytest
from pydantic import BaseModel

from samples import ARGUMENTS, CITY, INPUT, NAMES, OUTPUT, PNG, RESULTS, SAID, SCHEMA, SEEN, TEXT, TOLD_BOTH, USE_BOTH

KIND = "anthropic"
TOOLS = [{"name": name, "input_schema": SCHEMA} for name in NAMES]
ASK = {"model": "claude", "max_tokens": 4000}


class City(BaseModel):
    """An answer with a form."""

    city: str


@pytest.fixture
def client(mock):
    return anthropic.Anthropic(base_url=mock.url, api_key="key", max_retries=0, timeout=10)


def user(content):
    return [{"role": "user", "content": content}]


def test_message(client):
    answer = client.messages.create(**ASK, messages=user(TEXT), system="be brief")
    assert answer.content[0].text == SAID
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", INPUT, OUTPUT)


def test_stream(client):
    with client.messages.stream(**ASK, messages=user(TEXT)) as stream:
        answer = stream.get_final_message()
    assert answer.content[0].text == SAID
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", OUTPUT)


@pytest.mark.parametrize("thinking", [None, {"type": "enabled", "budget_tokens": 1024}])
@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_over_two_turns(client, streamed, thinking):
    messages = user(USE_BOTH)
    ask = {**ASK, "messages": messages, "tools": TOOLS, **({"thinking": thinking} if thinking else {})}
    if streamed:
        with client.messages.stream(**ask) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**ask)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [(name, ARGUMENTS) for name in NAMES]
    assert answer.stop_reason == "tool_use"
    messages.append({"role": "assistant", "content": [block.to_dict() for block in answer.content]})
    results = [{"type": "tool_result", "tool_use_id": c.id, "content": r} for c, r in zip(calls, RESULTS)]
    messages += user(results)
    answer = client.messages.create(**{**ask, "messages": messages})
    assert answer.content[-1].text == TOLD_BOTH


def test_structured_output(client):
    answer = client.messages.parse(**ASK, messages=user("where?"), output_format=City)
    assert answer.parsed_output == City(city=CITY)


def test_image(client):
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    answer = client.messages.create(**ASK, messages=user([{"type": "image", "source": source}]))
    assert answer.content[0].text == SEEN


@pytest.mark.parametrize("status, kind", [
    (400, anthropic.BadRequestError), (401, anthropic.AuthenticationError), (404, anthropic.NotFoundError),
    (429, anthropic.RateLimitError), (500, anthropic.InternalServerError), (529, anthropic.APIStatusError),
])
def test_errors(client, status, kind):
    with pytest.raises(kind) as error:
        client.messages.create(**ASK, messages=user(f"x mock[error={status};retry_after=3]"))
    assert error.value.status_code == status
    assert error.value.body["error"]["message"]
    assert error.value.response.headers["retry-after"] == "3"


def test_an_error_in_a_stream(client):
    with pytest.raises(anthropic.APIStatusError), client.messages.stream(
        **ASK, messages=user("one two three mock[mid_error]")
    ) as stream:
        stream.get_final_message()


def test_count_tokens(client):
    assert client.messages.count_tokens(model="claude", messages=user(TEXT)).input_tokens == INPUT
