"""Anthropic's client."""

import anthropic
import pytest

from samples import ARGUMENTS, INPUT, NAMES, OUTPUT, PNG, RESULTS, SAID, SCHEMA, SEEN, TEXT, TOLD, TOLD_BOTH, USE, USE_BOTH

TOOLS = [{"name": name, "input_schema": SCHEMA} for name in NAMES]
CLASSES = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
    503: anthropic.APIStatusError,
    529: anthropic.APIStatusError,
}


def user(content):
    return [{"role": "user", "content": content}]


def ask(messages, model, turns, streamed, **more):
    """The message, as if it had come at once."""
    request = {"model": model.name, "max_tokens": 4000, "messages": turns, **more}
    if not streamed:
        return messages.messages.create(**request)
    with messages.messages.stream(**request) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer(messages, model, streamed):
    answer = ask(messages, model, user(TEXT), streamed, system="be brief")
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert [block.type for block in answer.content] == ["text"] and answer.content[0].text == SAID
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (INPUT, OUTPUT)


@pytest.mark.parametrize("how", ["chunk=1", "gzip", "lines=crlf"])
def test_a_stream_is_the_same_however_it_comes(messages, model, how):
    assert ask(messages, model, user(f"{TEXT} mock[{how}]"), True).content[0].text == SAID


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("text, count, told", [(USE, 1, TOLD), (USE_BOTH, 2, TOLD_BOTH)], ids=["one", "parallel"])
def test_calls_and_results(messages, model, streamed, text, count, told):
    turns = user(text)
    answer = ask(messages, model, turns, streamed, tools=TOOLS)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [(name, ARGUMENTS) for name in NAMES[:count]]
    assert answer.stop_reason == "tool_use" and len({call.id for call in calls}) == count
    turns.append({"role": "assistant", "content": [block.to_dict() for block in answer.content]})
    turns += user([{"type": "tool_result", "tool_use_id": c.id, "content": r} for c, r in zip(calls, RESULTS)])
    answer = ask(messages, model, turns, streamed, tools=TOOLS)
    assert (answer.content[-1].text, answer.stop_reason) == (told, "end_turn")


def test_choices(messages, model):
    named = {"type": "tool", "name": NAMES[1]}
    for choice, name in [({"type": "any"}, NAMES[0]), (named, NAMES[1])]:
        answer = ask(messages, model, user("hello"), False, tools=TOOLS, tool_choice=choice)
        assert [block.name for block in answer.content if block.type == "tool_use"] == [name]
    answer = ask(messages, model, user(USE), False, tools=TOOLS, tool_choice={"type": "none"})
    assert answer.stop_reason == "end_turn"


def test_an_image(messages, model):
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    turns = user([{"type": "image", "source": source}])
    if not model.can("images"):
        with pytest.raises(anthropic.BadRequestError):
            ask(messages, model, turns, False)
        return
    assert ask(messages, model, turns, False).content[0].text == SEEN


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", CLASSES)
def test_errors(messages, model, status, streamed):
    with pytest.raises(CLASSES[status]) as error:
        ask(messages, model, user(f"x mock[error={status};retry_after=3]"), streamed)
    error = error.value
    assert error.status_code == status or (status, error.status_code) == (529, 503)
    assert error.body["type"] == "error" and error.body["error"]["type"] and error.body["error"]["message"]
    assert error.response.headers["retry-after"] == "3"


@pytest.mark.parametrize("wish", ["mid_error", "truncate"])
def test_a_stream_that_goes_wrong_does_not_end_well(messages, alone, model, wish):
    with pytest.raises(Exception):
        ask(messages, model, user(f"one two three four mock[{wish}]"), True)


def test_an_unknown_model(messages, alone):
    with pytest.raises(anthropic.NotFoundError) as error:
        messages.messages.create(model="cluade", max_tokens=1, messages=user("x"))
    assert error.value.body["error"]["type"] == "not_found_error" and "claude" in error.value.body["error"]["message"]
