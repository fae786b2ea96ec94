"""OpenAI's client with the Responses API."""

import json

import openai
import pytest

from samples import ANSWER, ARGUMENTS, INPUT, NAMES, OUTPUT, PNG, RESULTS, SAID, SCHEMA, SEEN, TEXT, TOLD, TOLD_BOTH, USE, USE_BOTH

TOOLS = [{"type": "function", "name": name, "parameters": SCHEMA, "strict": False} for name in NAMES]


def ask(chat, model, items, streamed, **more):
    """The response, as if it had come at once."""
    request = {"model": model.name, "input": items, "store": False, **more}
    if not streamed:
        return chat.responses.create(**request)
    with chat.responses.stream(**request) as stream:
        numbers = [event.sequence_number for event in stream]
        assert numbers == list(range(len(numbers)))
        return stream.get_final_response()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer(chat, model, streamed):
    answer = ask(chat, model, TEXT, streamed, instructions="be brief")
    assert (answer.object, answer.status, answer.output_text) == ("response", "completed", SAID)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (INPUT, OUTPUT)
    assert answer.usage.total_tokens == INPUT + OUTPUT


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("text, count, told", [(USE, 1, TOLD), (USE_BOTH, 2, TOLD_BOTH)], ids=["one", "parallel"])
def test_calls_and_results(chat, model, streamed, text, count, told):
    items = [{"role": "user", "content": text}]
    answer = ask(chat, model, items, streamed, tools=TOOLS)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [(c.name, json.loads(c.arguments)) for c in calls] == [(name, ARGUMENTS) for name in NAMES[:count]]
    items += [{"type": "function_call", "call_id": c.call_id, "name": c.name, "arguments": c.arguments} for c in calls]
    items += [{"type": "function_call_output", "call_id": c.call_id, "output": r} for c, r in zip(calls, RESULTS)]
    assert ask(chat, model, items, streamed, tools=TOOLS).output_text == told


def test_structured_output(chat, model):
    form = {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}}
    answer = json.loads(ask(chat, model, "where? tell in json", False, text=form).output_text)
    assert answer == ANSWER if model.can("schema") else isinstance(answer, dict)


def test_an_image(chat, model):
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    items = [{"role": "user", "content": [image]}]
    if not model.can("images"):
        with pytest.raises(openai.BadRequestError):
            ask(chat, model, items, False)
        return
    assert ask(chat, model, items, False).output_text == SEEN


def test_a_truncated_answer_is_incomplete(chat, model):
    answer = ask(chat, model, "x mock[finish=length]", False)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status, kind", [
    (400, openai.BadRequestError), (401, openai.AuthenticationError), (429, openai.RateLimitError), (503, openai.InternalServerError),
])
def test_errors(chat, model, status, kind, streamed):
    with pytest.raises(kind) as error:
        ask(chat, model, f"x mock[error={status};retry_after=3]", streamed)
    assert error.value.status_code == status and error.value.body["message"]
    assert error.value.response.headers["retry-after"] == "3"


def test_what_needs_a_server_that_remembers_is_refused(chat, alone, model):
    if model.kind in ("openai", "azure"):
        pytest.skip(f"{model.name} has such a server")
    with pytest.raises(openai.BadRequestError) as error:
        ask(chat, model, TEXT, False, previous_response_id="resp_1")
    assert "previous_response_id" in error.value.body["message"]
