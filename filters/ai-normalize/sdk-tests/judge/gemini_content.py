"""GenerateContent by the types of `google-genai`, which take only members that they name."""

import re
import warnings
from typing import Dict, List, Optional

from google.genai import types
from pydantic import ConfigDict, Field, ValidationError, create_model

from judge.strict import Unfit, told

_MODEL = r"/v1(beta1?)?/(projects/[^/]+/locations/[^/]+/publishers/google/)?models/[^/:]+:"
_LITTLE = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


def _body(name, **members):
    return create_model(name, __config__=_LITTLE, **members)


_GENERATE = _body(
    "GenerateContentRequest",
    contents=(List[types.Content], Field(min_length=1)),
    systemInstruction=(Optional[types.Content], None),
    tools=(Optional[List[types.Tool]], None),
    toolConfig=(Optional[types.ToolConfig], None),
    safetySettings=(Optional[List[types.SafetySetting]], None),
    generationConfig=(Optional[types.GenerationConfig], None),
    cachedContent=(Optional[str], None),
    labels=(Optional[Dict[str, str]], None),
    serviceTier=(Optional[str], None),
)
_EMBED = _body(
    "EmbedContentRequest",
    model=(Optional[str], None),
    content=(types.Content, ...),
    taskType=(Optional[str], None),
    title=(Optional[str], None),
    outputDimensionality=(Optional[int], None),
)
_BATCH = _body("BatchEmbedContentsRequest", requests=(List[_EMBED], Field(min_length=1)))
_COUNT = _body("CountTokensRequest", contents=(List[types.Content], ...))
_INSTANCE = _body("Instance", content=(str, ...), task_type=(Optional[str], None), title=(Optional[str], None))
_PARAMETERS = _body("Parameters", autoTruncate=(Optional[bool], None), outputDimensionality=(Optional[int], None))
_PREDICT = _body("PredictRequest", instances=(List[_INSTANCE], ...), parameters=(Optional[_PARAMETERS], None))

_METHODS = {
    "generateContent": _GENERATE,
    "streamGenerateContent": _GENERATE,
    "embedContent": _EMBED,
    "batchEmbedContents": _BATCH,
    "countTokens": _COUNT,
    "predict": _PREDICT,
}


def judge(request):
    """AI Studio: no labels."""
    if "labels" in _judge(request):
        raise Unfit("labels exist on Vertex only")


def judge_vertex(request):
    """Vertex: calls have no id."""
    if "publishers/anthropic" in request.path:
        return _judge_claude(request)
    for content in _judge(request).get("contents", []):
        for part in content.get("parts", []):
            for name in ("functionCall", "functionResponse"):
                if "id" in part.get(name, {}):
                    raise Unfit(f"{name}.id exists on AI Studio only")


def _judge_claude(request):
    from judge.anthropic_messages import judge_body

    body = request.json()
    if "model" in body:
        raise Unfit("model belongs into the path")
    version = body.pop("anthropic_version", "")
    if not version:
        raise Unfit("no anthropic_version")
    judge_body({"model": "in the path", **body}, "2023-06-01" if version == "vertex-2023-10-16" else version)


def _judge(request):
    path, _, query = request.path.partition("?")
    if not re.match(_MODEL, path) or "key=" in query:
        raise Unfit("no path of Gemini, or one with a key in it")
    method = path.rsplit(":", 1)[1]
    if method not in _METHODS:
        raise Unfit(f"Gemini has no {method}")
    body = request.json()
    with warnings.catch_warnings():
        # an unknown enum value is only warned about
        warnings.simplefilter("error")
        try:
            _METHODS[method].model_validate(body)
        except ValidationError as errors:
            raise Unfit(told(errors)) from None
        except Warning as why:
            raise Unfit(str(why)) from None
    return body
