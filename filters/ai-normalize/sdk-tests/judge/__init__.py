"""Judges requests by the providers' own models: `judge(kind, request)` raises `Unfit` with what is wrong."""

from judge import anthropic_messages, bedrock_converse, chat, cohere_v2, gemini_content, mistral_chat
from judge.strict import Unfit

_BY_KIND = {
    "openai": chat.judge,
    "azure": chat.judge,
    "groq": chat.judge_compatible,
    "deepseek": chat.judge_compatible,
    "compatible": chat.judge_compatible,
    "anthropic": anthropic_messages.judge,
    "gemini": gemini_content.judge,
    "vertex": gemini_content.judge_vertex,
    "bedrock": bedrock_converse.judge,
    "cohere": cohere_v2.judge,
    "mistral": mistral_chat.judge,
}

__all__ = ["Unfit", "judge"]


def judge(kind, request):
    """Whether this provider's own model takes the request; one without a body has nothing to judge."""
    if request.method == "GET":
        return
    if request.header("content-length") not in (None, str(len(request.body.encode()))):
        raise Unfit(f"content-length is {request.header('content-length')}, the body has {len(request.body.encode())}")
    try:
        _BY_KIND[kind](request)
    except Unfit as why:
        raise Unfit(f"{kind} {request.path}: {why}\n{request.body[:2000]}") from None
