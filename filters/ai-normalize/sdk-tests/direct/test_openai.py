"""`openai` and the mock of OpenAI."""

import json

import openai
import pytest
from pydantic import BaseModel

from samples import ARGUMENTS, CITY, INPUT, NAMES, OUTPUT, PNG, RESULTS, SAID, SCHEMA, SEEN, TEXT, TOLD_BOTH, USE_BOTH

KIND = "openai"
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA, "strict": True}} for name in NAMES]


class City(BaseModel):
    """An answer with a form."""

    city: str


@pytest.fixture
def client(mock):
    return openai.OpenAI(base_url=f"{mock.url}/v1", api_key="key", max_retries=0, timeout=10)


def user(text):
    return [{"role": "user", "content": text}]


def test_chat(client):
    answer = client.chat.completions.create(model="gpt", messages=user(TEXT))
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT, OUTPUT)


def test_chat_stream(client):
    with client.chat.completions.stream(model="gpt", messages=user(TEXT), stream_options={"include_usage": True}) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == SAID
    assert answer.usage.total_tokens == INPUT + OUTPUT


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_over_two_turns(client, streamed):
    messages = user(USE_BOTH)
    ask = {"model": "gpt", "messages": messages, "tools": TOOLS}
    if streamed:
        with client.chat.completions.stream(**ask) as stream:
            answer = stream.get_final_completion()
    else:
        answer = client.chat.completions.create(**ask)
    calls = answer.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == list(NAMES)
    assert [json.loads(call.function.arguments) for call in calls] == [ARGUMENTS] * 2
    assert answer.choices[0].finish_reason == "tool_calls"
    messages.append({
        "role": "assistant",
        "tool_calls": [
            {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
            for c in calls
        ],
    })
    messages += [{"role": "tool", "tool_call_id": c.id, "content": r} for c, r in zip(calls, RESULTS)]
    answer = client.chat.completions.create(model="gpt", messages=messages, tools=TOOLS)
    assert answer.choices[0].message.content == TOLD_BOTH


def test_structured_output(client):
    answer = client.chat.completions.parse(model="gpt", messages=user("where?"), response_format=City)
    assert answer.choices[0].message.parsed == City(city=CITY)


def test_image(client):
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
    answer = client.chat.completions.create(model="gpt", messages=user(content))
    assert answer.choices[0].message.content == SEEN


@pytest.mark.parametrize("status, kind", [
    (400, openai.BadRequestError), (401, openai.AuthenticationError), (404, openai.NotFoundError),
    (429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError),
])
def test_errors(client, status, kind):
    with pytest.raises(kind) as error:
        client.chat.completions.create(model="gpt", messages=user(f"x mock[error={status};retry_after=3]"))
    assert error.value.status_code == status
    assert error.value.body["message"]
    assert error.value.response.headers["retry-after"] == "3"


def test_an_error_in_a_stream(client):
    stream = client.chat.completions.create(model="gpt", messages=user("one two three mock[mid_error]"), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_embeddings(client):
    answer = client.embeddings.create(model="embed", input=["ab", "c"], dimensions=4)
    assert [len(item.embedding) for item in answer.data] == [4, 4]
    assert answer.data[0].embedding != answer.data[1].embedding


def test_models(client):
    models = client.models.list().data
    assert models and all(model.object == "model" for model in models)


def test_responses(client):
    answer = client.responses.create(model="gpt", input=TEXT)
    assert answer.output_text == SAID
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (INPUT, OUTPUT)


def test_responses_stream_with_tools(client):
    tools = [{"type": "function", "name": name, "parameters": SCHEMA, "strict": True} for name in NAMES]
    with client.responses.stream(model="gpt", input=USE_BOTH, tools=tools) as stream:
        answer = stream.get_final_response()
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [call.name for call in calls] == list(NAMES)
    assert [json.loads(call.arguments) for call in calls] == [ARGUMENTS] * 2
