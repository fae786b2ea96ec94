"""`google-genai` and the mocks of AI Studio and Vertex."""

import base64
import json

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from samples import ANSWER, ARGUMENTS, CITY, INPUT, NAMES, OUTPUT, PNG, RESULTS, SAID, SCHEMA, SEEN, TEXT, TOLD_BOTH, USE_BOTH

TOOLS = [types.Tool(function_declarations=[{"name": name, "parameters_json_schema": SCHEMA} for name in NAMES])]


@pytest.fixture(params=["gemini", "vertex"])
def client(request, mocks):
    options = types.HttpOptions(base_url=mocks[request.param].url, timeout=10_000)
    if request.param == "gemini":
        return genai.Client(api_key="key", http_options=options)
    credentials = Credentials(token="token")
    return genai.Client(enterprise=True, project="p", location="l", credentials=credentials, http_options=options)


def ask(client, contents, streamed=False, **config):
    """The answer as one list of parts, and the last chunk."""
    ask = {"model": "gemini", "contents": contents, "config": types.GenerateContentConfig(**config)}
    if not streamed:
        answer = client.models.generate_content(**ask)
        return answer.candidates[0].content.parts, answer
    chunks = list(client.models.generate_content_stream(**ask))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    return parts, chunks[-1]


def text(parts):
    return "".join(part.text or "" for part in parts)


@pytest.mark.parametrize("streamed", [False, True])
def test_text(client, streamed):
    parts, last = ask(client, TEXT, streamed, system_instruction="be brief", temperature=0)
    assert text(parts) == SAID
    assert last.candidates[0].finish_reason == "STOP"
    usage = last.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count) == (INPUT, OUTPUT)


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_over_two_turns(client, streamed):
    manual = {"tools": TOOLS, "automatic_function_calling": {"disable": True}}
    parts, _ = ask(client, USE_BOTH, streamed, **manual)
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == [(name, ARGUMENTS) for name in NAMES]
    results = [types.Part.from_function_response(name=c.name, response={"output": r}) for c, r in zip(calls, RESULTS)]
    for part, call in zip(results, calls):
        part.function_response.id = call.id
    # a stream ends with an empty text, which may not come back
    parts = [part for part in parts if part.text != ""]
    turns = [types.UserContent(USE_BOTH), types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
    parts, _ = ask(client, turns, streamed, **manual)
    assert text(parts) == TOLD_BOTH


def test_structured_output(client):
    parts, answer = ask(client, "where?", response_mime_type="application/json", response_json_schema=SCHEMA)
    assert json.loads(text(parts)) == ANSWER == answer.parsed


def test_image(client):
    image = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    parts, _ = ask(client, [types.Content(role="user", parts=[image])])
    assert text(parts) == SEEN


@pytest.mark.parametrize("status, kind", [
    (400, errors.ClientError), (403, errors.ClientError), (404, errors.ClientError), (429, errors.ClientError),
    (500, errors.ServerError), (503, errors.ServerError),
])
def test_errors(client, status, kind):
    with pytest.raises(kind) as error:
        ask(client, f"x mock[error={status}]")
    assert error.value.code == status and error.value.status and error.value.message


def test_a_list_around_an_error(client):
    with pytest.raises(errors.ClientError) as error:
        ask(client, "x mock[error=429;body=array]", streamed=True)
    assert error.value.code == 429


def test_embeddings(client):
    model = "text-embedding-005" if client.vertexai else "gemini-embedding"
    answer = client.models.embed_content(model=model, contents=["ab", "c"], config={"output_dimensionality": 4})
    assert [len(item.values) for item in answer.embeddings] == [4, 4]


def test_thoughts(client):
    parts, answer = ask(client, TEXT, thinking_config={"include_thoughts": True, "thinking_budget": 100})
    assert [part.thought for part in parts if part.thought] == [True]
    assert text(part for part in parts if not part.thought) == SAID
    assert answer.usage_metadata.thoughts_token_count == 3


def test_a_prompt_that_is_blocked_has_no_candidates(client):
    answer = client.models.generate_content(model="gemini", contents="x mock[blocked]")
    assert not answer.candidates and answer.prompt_feedback.block_reason
