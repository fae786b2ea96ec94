"""OpenAI's client: answers, whole and streamed."""

import json

import pytest

from samples import INPUT, OUTPUT, PNG, SAID, SCHEMA, SEEN, TEXT, ANSWER


def user(content):
    return [{"role": "user", "content": content}]


def events(text):
    """The data of a stream of events; the last is `[DONE]`, and complete."""
    assert text.endswith("data: [DONE]\n\n"), text[-200:]
    data = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    assert data.count("[DONE]") == 1
    return [json.loads(item) for item in data[:-1]]


def test_an_answer(chat, model):
    answer = chat.chat.completions.create(model=model.name, messages=user(TEXT))
    assert answer.object == "chat.completion" and answer.id and answer.created > 0 and answer.model
    (choice,) = answer.choices
    assert (choice.index, choice.message.role, choice.message.content) == (0, "assistant", SAID)
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT, OUTPUT)
    assert answer.usage.total_tokens == INPUT + OUTPUT


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_has_one_role_one_finish_one_usage_if_asked_and_one_end(raw, model, usage):
    body = {"model": model.name, "messages": user(TEXT), "stream": True}
    if usage:
        body["stream_options"] = {"include_usage": True}
    status, headers, text = raw("/v1/chat/completions", body)
    assert (status, headers.get_content_type()) == (200, "text/event-stream")
    chunks = events(text)
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert len({chunk["id"] for chunk in chunks if chunk["id"]}) == 1
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [c["delta"]["role"] for c in choices if c["delta"].get("role")] == ["assistant"]
    assert [c["finish_reason"] for c in choices if c.get("finish_reason")] == ["stop"]
    assert "".join(c["delta"].get("content") or "" for c in choices) == SAID
    told = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert len(told) == int(usage)
    if usage:
        assert (told[0]["prompt_tokens"], told[0]["completion_tokens"]) == (INPUT, OUTPUT)
        assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]


@pytest.mark.parametrize("how", ["chunk=1", "chunk=7", "lines=crlf", "lines=cr", "gzip", "deflate", "gzip;chunk=3"])
def test_a_stream_is_the_same_however_it_comes(chat, model, how):
    stream = chat.chat.completions.create(model=model.name, messages=user(f"{TEXT} mock[{how}]"), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == SAID


@pytest.mark.parametrize("how", ["chunk=1", "gzip", "deflate"])
def test_an_answer_is_the_same_however_it_comes(chat, model, how):
    answer = chat.chat.completions.create(model=model.name, messages=user(f"{TEXT} mock[{how}]"))
    assert answer.choices[0].message.content == SAID


def test_a_long_stream(chat, model):
    stream = chat.chat.completions.create(model=model.name, messages=user("x mock[tokens=500]"), stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "".join(f"t{index} " for index in range(500))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("wish, reason", [("length", "length"), ("content_filter", "content_filter"), ("unknown", "stop")])
def test_finish_reasons(chat, alone, model, wish, reason, streamed):
    ask = {"model": model.name, "messages": user(f"x mock[finish={wish}]")}
    if streamed:
        chunks = chat.chat.completions.create(**ask, stream=True)
        reasons = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    else:
        reasons = [chat.chat.completions.create(**ask).choices[0].finish_reason]
    if wish == "unknown" and model.kind in ("mistral", "deepseek"):
        # what these two say beyond OpenAI's words is that the answer was cut off
        reason = "length"
    # a provider without such a reason ends as usual
    assert reasons in ([reason], ["stop"] if wish == "content_filter" else [reason])


def test_system_texts_from_anywhere_arrive_in_order(chat, alone, model):
    turns = [
        {"role": "system", "content": "first"},
        {"role": "developer", "content": "second"},
        *user("hello"),
        {"role": "assistant", "content": "hi"},
        *user("mock[system] what was said?"),
    ]
    answer = chat.chat.completions.create(model=model.name, messages=turns)
    assert answer.choices[0].message.content == "system: first | second"


def test_consecutive_turns_and_empty_texts_are_no_trouble(chat, alone, model):
    turns = [*user("a"), *user("b"), {"role": "assistant", "content": "c"}, {"role": "assistant", "content": ""}, *user(TEXT)]
    answer = chat.chat.completions.create(model=model.name, messages=turns)
    assert answer.choices[0].message.content == SAID


def test_an_image(chat, model):
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
    if not model.can("images"):
        with pytest.raises(Exception) as error:
            chat.chat.completions.create(model=model.name, messages=user(content))
        assert error.value.status_code == 400
        return
    answer = chat.chat.completions.create(model=model.name, messages=user(content))
    assert answer.choices[0].message.content == SEEN


@pytest.mark.parametrize("streamed", [False, True])
def test_structured_output(chat, model, streamed):
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
    ask = {"model": model.name, "messages": user("where? tell in json"), "response_format": form}
    if streamed:
        chunks = chat.chat.completions.create(**ask, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    else:
        answer = chat.chat.completions.create(**ask)
        text = answer.choices[0].message.content
        assert (answer.choices[0].finish_reason, answer.choices[0].message.tool_calls) == ("stop", None)
    if model.can("schema"):
        assert json.loads(text) == ANSWER
    else:
        assert isinstance(json.loads(text), dict)


def test_json_without_a_schema(chat, alone, model):
    ask = {"model": model.name, "messages": user("tell in json"), "response_format": {"type": "json_object"}}
    assert chat.chat.completions.create(**ask).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_is_counted_and_no_part_of_the_content(chat, alone, model, streamed):
    ask = {"model": model.name, "messages": user(f"{TEXT} mock[reasoning]")}
    if streamed:
        options = {"include_usage": True}
        chunks = list(chat.chat.completions.create(**ask, stream=True, stream_options=options))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage = chunks[-1].usage
    else:
        answer = chat.chat.completions.create(**ask)
        text, usage = answer.choices[0].message.content, answer.usage
    assert text == SAID
    assert usage.completion_tokens == OUTPUT + 3
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_cached_tokens_are_part_of_the_prompt(chat, alone, model):
    usage = chat.chat.completions.create(model=model.name, messages=user("x mock[cached=100]")).usage
    assert usage.prompt_tokens in (INPUT, INPUT + 100)
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
    assert (cached or 0) == usage.prompt_tokens - INPUT
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
