"""`openai` and the mocks that speak as OpenAI does; Azure has a client of its own."""

import json

import openai
import pytest

from samples import ARGUMENTS, INPUT, NAMES, OUTPUT, RESULTS, SAID, SCHEMA, TEXT, TOLD_BOTH, USE_BOTH

PATHS = {"deepseek": "", "groq": "/openai/v1", "compatible": "/v1", "azure": None}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES]


@pytest.fixture(params=PATHS)
def client(request, mocks):
    url, more = mocks[request.param].url, {"api_key": "key", "max_retries": 0, "timeout": 10}
    if request.param == "azure":
        return openai.AzureOpenAI(azure_endpoint=url, api_version="2024-10-21", **more)
    return openai.OpenAI(base_url=url + PATHS[request.param], **more)


def user(content):
    return [{"role": "user", "content": content}]


def test_chat(client):
    answer = client.chat.completions.create(model="m", messages=user(TEXT), temperature=0)
    assert answer.choices[0].message.content == SAID
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT, OUTPUT)


def test_stream(client):
    options = {"include_usage": True}
    with client.chat.completions.stream(model="m", messages=user(TEXT), stream_options=options) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_over_two_turns(client, streamed):
    ask = {"model": "m", "messages": user(USE_BOTH), "tools": TOOLS}
    if streamed:
        with client.chat.completions.stream(**ask) as stream:
            answer = stream.get_final_completion()
    else:
        answer = client.chat.completions.create(**ask)
    calls = answer.choices[0].message.tool_calls
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == [(name, ARGUMENTS) for name in NAMES]
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
        for c in calls
    ]
    messages = ask["messages"] + [{"role": "assistant", "content": None, "tool_calls": calls}]
    messages += [{"role": "tool", "tool_call_id": c["id"], "content": r} for c, r in zip(calls, RESULTS)]
    answer = client.chat.completions.create(model="m", messages=messages, tools=TOOLS)
    assert answer.choices[0].message.content == TOLD_BOTH


@pytest.mark.parametrize("status, kind", [
    (400, openai.BadRequestError), (401, openai.AuthenticationError), (404, openai.NotFoundError),
    (429, openai.RateLimitError), (500, openai.InternalServerError),
])
def test_errors(client, status, kind):
    with pytest.raises(kind) as error:
        client.chat.completions.create(model="m", messages=user(f"x mock[error={status};retry_after=3]"))
    assert error.value.status_code == status


def test_embeddings(mocks):
    more = {"api_key": "key", "max_retries": 0, "timeout": 10}
    azure = openai.AzureOpenAI(azure_endpoint=mocks["azure"].url, api_version="2024-10-21", **more)
    local = openai.OpenAI(base_url=mocks["compatible"].url + "/v1", **more)
    for client in (azure, local):
        answer = client.embeddings.create(model="embed", input=["ab", "c"])
        assert len(answer.data) == 2 and answer.data[0].embedding != answer.data[1].embedding
