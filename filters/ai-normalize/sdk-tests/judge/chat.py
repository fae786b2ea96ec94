"""Chat Completions, Embeddings and Responses by the types of `openai`."""

import re

from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.responses.response_create_params import ResponseCreateParams

from judge.strict import Unfit, check

_TYPES = {
    "chat/completions": CompletionCreateParams,
    "embeddings": EmbeddingCreateParams,
    "responses": ResponseCreateParams,
}

# What compatible servers take beyond OpenAI, at the top and in messages.
_TOP = {"enable_thinking", "thinking", "thinking_budget", "chat_template_kwargs", "reasoning_format", "reasoning", "top_k"}
_MESSAGE = {"reasoning_content", "reasoning", "prefix"}


def judge(request):
    """OpenAI and Azure. On a path with a deployment the model may be left out: it is in the path."""
    body = request.json()
    if re.search(r"/openai/deployments/[^/]+/", request.path):
        body.setdefault("model", "deployment")
        if "api-version=" not in request.path:
            raise Unfit("no api-version")
    check(_kind(request), body)


def judge_compatible(request):
    """A server with the interface of OpenAI and a few members of its own."""
    body = {name: value for name, value in request.json().items() if name not in _TOP}
    messages = body.get("messages")
    if isinstance(messages, list):
        body["messages"] = [
            {name: value for name, value in message.items() if name not in _MESSAGE} for message in messages
        ]
    for message in body.get("messages", []):
        if message.get("role") == "developer":
            raise Unfit("role developer, which only OpenAI knows")
    check(_kind(request), body)


def _kind(request):
    path = request.path.split("?")[0]
    for end, kind in _TYPES.items():
        if path.endswith(f"/{end}"):
            return kind
    raise Unfit(f"OpenAI has no such path: {path}")
