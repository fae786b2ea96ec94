"""The judges themselves: what is good passes, what is not does not."""

import json

import pytest

from judge import Unfit, judge
from mock import Recorded

ANTHROPIC = [["x-api-key", "k"], ["anthropic-version", "2023-06-01"]]
HELLO = [{"role": "user", "content": "hello"}]
PARTS = [{"role": "user", "parts": [{"text": "hello"}]}]
CONVERSE = [{"role": "user", "content": [{"text": "hello"}]}]
GENERATE = "/v1beta/models/m:generateContent"
VERTEX = "/v1/projects/p/locations/l/publishers/google/models/m:generateContent"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

GOOD = [
    ("openai", "/v1/chat/completions", {"model": "m", "messages": HELLO, "temperature": 0, "tools": [TOOL]}),
    ("openai", "/v1/embeddings", {"model": "m", "input": ["a"]}),
    ("openai", "/v1/responses", {"model": "m", "input": HELLO, "stream": True}),
    ("azure", "/openai/deployments/d/chat/completions?api-version=1", {"messages": HELLO}),
    ("deepseek", "/chat/completions", {"model": "m", "messages": [{**HELLO[0], "reasoning_content": ""}]}),
    ("anthropic", "/v1/messages", {"model": "m", "max_tokens": 1, "messages": HELLO, "temperature": 0}),
    ("gemini", GENERATE, {"contents": PARTS, "generationConfig": {"temperature": 0, "stopSequences": ["a"]}}),
    ("gemini", GENERATE, {"contents": PARTS, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
    ("vertex", VERTEX, {"contents": PARTS, "labels": {"a": "b"}}),
    ("bedrock", "/model/a%3A0/converse", {"messages": CONVERSE, "inferenceConfig": {"maxTokens": 1}}),
    ("bedrock", "/model/a/converse", {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "AAAA"}}}]}]}),
    ("cohere", "/v2/chat", {"model": "m", "messages": HELLO, "stream": True, "tools": [TOOL]}),
    ("cohere", "/v2/embed", {"model": "m", "texts": ["a"], "input_type": "search_query", "embedding_types": ["float"]}),
    ("mistral", "/v1/chat/completions", {"model": "m", "messages": HELLO, "tool_choice": "any", "tools": [TOOL]}),
    ("mistral", "/v1/chat/completions", {"model": "m", "stream": True, "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}),
]

BAD = [
    ("openai", "/v1/chat/completions", {"model": "m", "messages": HELLO, "top_k": 1}, "top_k"),
    ("openai", "/v1/chat/completions", {"model": "m", "messages": [{**HELLO[0], "cache_control": {}}]}, "cache_control"),
    ("openai", "/v1/chat/completions", {"model": "m"}, "messages"),
    ("openai", "/v1/embeddings", {"model": "m", "inputs": ["a"]}, "inputs"),
    ("openai", "/v1/chat", {"model": "m"}, "no such path"),
    ("azure", "/openai/deployments/d/chat/completions", {"messages": HELLO}, "api-version"),
    ("groq", "/openai/v1/chat/completions", {"model": "m", "messages": [{"role": "developer", "content": "a"}]}, "developer"),
    ("anthropic", "/v1/messages", {"model": "m", "messages": HELLO}, "max_tokens"),
    ("anthropic", "/v1/messages", {"model": "m", "max_tokens": "1", "messages": HELLO}, "max_tokens"),
    ("anthropic", "/v1/messages", {"model": "m", "max_tokens": 1, "messages": HELLO, "n": 1}, "n: Extra"),
    ("anthropic", "/v1/messages", {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}]}, "b: Extra"),
    ("gemini", GENERATE, {"contents": PARTS, "labels": {"a": "b"}}, "labels"),
    ("gemini", GENERATE, {"contents": [{"role": "user", "parts": [{"txt": "hello"}]}]}, "txt"),
    ("gemini", GENERATE, {"contents": PARTS, "generation_config": {}}, "generation_config"),
    ("gemini", GENERATE, {"contents": PARTS, "generationConfig": {"max_tokens": 1}}, "max_tokens"),
    ("gemini", GENERATE, {"contents": PARTS, "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "SOME"),
    ("gemini", GENERATE + "?key=k", {"contents": PARTS}, "key"),
    ("vertex", VERTEX, {"contents": [{"parts": [{"functionCall": {"name": "f", "id": "1"}}]}]}, "functionCall.id"),
    ("bedrock", "/model/a/converse", {"messages": CONVERSE, "tool_choice": {}}, "unknown member tool_choice"),
    ("bedrock", "/model/a/converse", {"messages": [{"role": "user", "content": [{"text": "a", "image": {}}]}]}, "expected one of"),
    ("bedrock", "/model/a/converse", {"messages": [{"role": "tool", "content": [{"text": "a"}]}]}, "'tool' is none of"),
    ("bedrock", "/model/a/converse", {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "#"}}}]}]}, "no base64"),
    ("bedrock", "/model/a/converse", {"messages": CONVERSE, "inferenceConfig": {"maxTokens": 1.5}}, "expected integer"),
    ("bedrock", "/model/a/converse", {"messages": [{"content": [{"text": "a"}]}]}, "role"),
    ("cohere", "/v2/chat", {"model": "m", "messages": HELLO, "top_p": 1}, "top_p"),
    ("cohere", "/v2/chat", {"model": "m", "messages": [{**HELLO[0], "name": "a"}]}, "name"),
    ("mistral", "/v1/chat/completions", {"model": "m", "messages": HELLO, "seed": 1}, "seed"),
    ("mistral", "/v1/chat/completions", {"model": "m", "messages": HELLO, "tool_choice": "some"}, "tool_choice"),
]


def sent(kind, path, body):
    """A request as a mock records it."""
    return Recorded("POST", path, ANTHROPIC if kind == "anthropic" else [], json.dumps(body), "HTTP/1.1")


@pytest.mark.parametrize("kind, path, body", GOOD)
def test_good_requests_pass(kind, path, body):
    judge(kind, sent(kind, path, body))


@pytest.mark.parametrize("kind, path, body, why", BAD)
def test_bad_requests_do_not_and_are_told_what_is_wrong(kind, path, body, why):
    with pytest.raises(Unfit) as unfit:
        judge(kind, sent(kind, path, body))
    assert why in str(unfit.value).split("\n")[0]


def test_a_length_that_is_not_true_is_found():
    request = sent("openai", "/v1/embeddings", {"model": "m", "input": "a"})
    request.headers = [["content-length", "7"]]
    with pytest.raises(Unfit, match="content-length"):
        judge("openai", request)
