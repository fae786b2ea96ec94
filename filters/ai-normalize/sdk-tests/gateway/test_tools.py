"""OpenAI's client: tools over several turns."""

import json

import pytest

from samples import ARGUMENTS, NAMES, RESULTS, SCHEMA, TOLD, TOLD_BOTH, USE, USE_BOTH

TOOLS = [{"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA}} for name in NAMES]


def ask(chat, model, messages, streamed, **more):
    """The only choice, as if it had come at once."""
    request = {"model": model.name, "messages": messages, "tools": TOOLS, **more}
    if not streamed:
        return chat.chat.completions.create(**request).choices[0]
    with chat.chat.completions.stream(**request) as stream:
        return stream.get_final_completion().choices[0]


def called(choice):
    """The assistant's turn with its calls, as it goes back; members that clients do not know stay."""
    turn = choice.message.model_dump(exclude_none=True)
    known = ("role", "content", "tool_calls", "reasoning_content", "thinking_blocks")
    turn = {name: value for name, value in turn.items() if name in known}
    for call in turn["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    return turn


def results(choice):
    return [
        {"role": "tool", "tool_call_id": call.id, "content": result}
        for call, result in zip(choice.message.tool_calls, RESULTS)
    ]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("text, count, told", [(USE, 1, TOLD), (USE_BOTH, 2, TOLD_BOTH)], ids=["one", "parallel"])
def test_calls_and_results(chat, model, streamed, text, count, told):
    messages = [{"role": "user", "content": text}]
    choice = ask(chat, model, messages, streamed)
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == list(NAMES[:count])
    assert [json.loads(call.function.arguments) for call in calls] == [ARGUMENTS] * count
    assert len({call.id for call in calls}) == count and all(call.type == "function" for call in calls)
    assert choice.finish_reason == "tool_calls"
    messages += [called(choice), *results(choice)]
    choice = ask(chat, model, messages, streamed)
    assert (choice.message.content, choice.finish_reason) == (told, "stop")


def test_several_rounds(chat, model):
    messages = []
    for _ in range(3):
        messages.append({"role": "user", "content": USE_BOTH})
        choice = ask(chat, model, messages, False)
        messages += [called(choice), *results(choice)]
        choice = ask(chat, model, messages, False)
        assert choice.message.content == TOLD_BOTH
        messages.append({"role": "assistant", "content": choice.message.content})


@pytest.mark.parametrize("streamed", [False, True])
def test_a_round_with_reasoning(chat, alone, model, streamed):
    messages = [{"role": "user", "content": f"{USE} mock[reasoning]"}]
    choice = ask(chat, model, messages, streamed)
    messages += [called(choice), *results(choice)]
    assert ask(chat, model, messages, streamed).message.content == TOLD


def test_choices(chat, model):
    hello = [{"role": "user", "content": "hello"}]
    named = {"type": "function", "function": {"name": NAMES[1]}}
    assert ask(chat, model, hello, False, tool_choice="required").message.tool_calls[0].function.name == NAMES[0]
    assert ask(chat, model, hello, False, tool_choice=named).message.tool_calls[0].function.name == NAMES[1]
    use = [{"role": "user", "content": USE}]
    assert ask(chat, model, use, False, tool_choice="none").message.tool_calls is None
    assert len(ask(chat, model, use, False, tool_choice="auto").message.tool_calls) == 1


def test_calls_that_end_like_a_text_are_calls_still(chat, alone, model):
    messages = [{"role": "user", "content": f"{USE} mock[stop_with_calls]"}]
    assert ask(chat, model, messages, False).finish_reason == "tool_calls"


def test_truncation_outranks_calls(chat, alone, model):
    messages = [{"role": "user", "content": f"{USE} mock[finish=length]"}]
    assert ask(chat, model, messages, False).finish_reason == "length"
