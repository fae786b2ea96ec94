"""OpenAI's client: parameters arrive at the provider under its own names, zeros among them."""

import pytest

ASKED = {"temperature": 0, "max_completion_tokens": 50, "stop": ["END"]}

# where each provider has them
PLACES = {
    "openai": {"temperature": 0, "max_completion_tokens": 50, "stop": ["END"]},
    "azure": {"temperature": 0, "max_completion_tokens": 50, "stop": ["END"]},
    "groq": {"temperature": 0, "stop": ["END"]},
    "compatible": {"temperature": 0, "stop": ["END"]},
    "deepseek": {"temperature": 0, "max_tokens": 50, "stop": ["END"]},
    "mistral": {"temperature": 0, "max_tokens": 50, "stop": ["END"]},
    "anthropic": {"temperature": 0, "max_tokens": 50, "stop_sequences": ["END"]},
    "cohere": {"temperature": 0, "max_tokens": 50, "stop_sequences": ["END"]},
    "gemini": {"generationConfig": {"temperature": 0, "maxOutputTokens": 50, "stopSequences": ["END"]}},
    "vertex": {"generationConfig": {"temperature": 0, "maxOutputTokens": 50, "stopSequences": ["END"]}},
    "bedrock": {"inferenceConfig": {"temperature": 0, "maxTokens": 50, "stopSequences": ["END"]}},
}


def within(part, whole):
    """Whether all members are there with the same values."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and within(value, whole[name]) for name, value in part.items())
    return part == whole


def test_zeros_limits_and_stops_arrive(chat, sent, model):
    chat.chat.completions.create(model=model.name, messages=[{"role": "user", "content": "x"}], **ASKED)
    (request,) = sent(model)
    assert within(PLACES[model.kind], request.json()), request.body


def test_one_stop_may_be_a_string(chat, sent, model):
    chat.chat.completions.create(model=model.name, messages=[{"role": "user", "content": "x"}], stop="END")
    (request,) = sent(model)
    assert '"END"' in request.body


@pytest.mark.parametrize("more", [
    {"seed": 0}, {"frequency_penalty": 0.5, "presence_penalty": 0.5}, {"user": "u"}, {"metadata": {"a": "b"}}, {"store": False},
    {"logit_bias": {"1": 1}}, {"service_tier": "auto"}, {"reasoning_effort": "low"}, {"verbosity": "low"}, {"n": 1},
    {"parallel_tool_calls": False, "tools": [{"type": "function", "function": {"name": "f"}}]},
], ids=lambda more: next(iter(more)))
def test_any_parameter_is_mapped_or_dropped_but_never_sent_where_it_is_unknown(chat, alone, model, more):
    messages = [{"role": "user", "content": "x"}]
    answer = chat.chat.completions.create(model=model.name, messages=messages, **more)
    assert answer.choices[0].finish_reason == "stop"
