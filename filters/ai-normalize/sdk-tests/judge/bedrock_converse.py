"""Converse and InvokeModel by botocore's model of the service."""

import base64
import binascii
import re
from functools import cache
from urllib.parse import unquote

import botocore.session
from botocore.validate import ParamValidator

from judge.strict import Unfit

_PATHS = {"converse": "Converse", "converse-stream": "ConverseStream", "count-tokens": "CountTokens"}


@cache
def _input(operation):
    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    return service.operation_model(operation).input_shape


def judge(request):
    """The id of the model is one segment of the path."""
    found = re.fullmatch(r"/model/([^/]+)/([a-z-]+)", request.path)
    if not found:
        raise Unfit("no path of Bedrock")
    model, method = unquote(found[1]), found[2]
    body = request.json()
    if method in ("invoke", "invoke-with-response-stream"):
        # the body is the model's own
        if "anthropic_version" in body and ("model" in body or "stream" in body):
            raise Unfit("model and stream are told by the path")
        return
    if method not in _PATHS:
        raise Unfit(f"Bedrock has no {method}")
    shape = _input(_PATHS[method])
    parameters = {**_read(shape, body, "body"), "modelId": model}
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise Unfit(report.generate_report())


def _read(shape, value, at):
    """JSON as the parameters that botocore takes, with checks of what it leaves to the service."""
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return value
    if kind == "structure":
        return _structure(shape, value, at)
    if kind == "list":
        _expect(isinstance(value, list), at, "expected a list")
        _range(shape, len(value), at, "length")
        return [_read(shape.member, item, f"{at}[{index}]") for index, item in enumerate(value)]
    if kind == "map":
        _expect(isinstance(value, dict), at, "expected an object")
        return {key: _read(shape.value, item, f"{at}.{key}") for key, item in value.items()}
    if kind == "blob":
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise Unfit(f"{at}: no base64") from None
    if kind == "string":
        _expect(isinstance(value, str), at, "expected a string")
        _expect(not shape.enum or value in shape.enum, at, f"{value!r} is none of {shape.enum}")
        _range(shape, len(value), at, "length")
        pattern = shape.metadata.get("pattern")
        _expect(not pattern or re.search(pattern, value), at, f"{value!r} is not like {pattern}")
    if kind in ("integer", "long", "float", "double"):
        _expect(type(value) in ((int,) if kind in ("integer", "long") else (int, float)), at, f"expected {kind}")
        _range(shape, value, at, "value")
    return value


def _structure(shape, value, at):
    _expect(isinstance(value, dict), at, "expected an object")
    # members of the path and of headers are not in the body
    members = {
        member.serialization.get("name", name): (name, member)
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }
    for name in value:
        _expect(name in members, at, f"unknown member {name}")
    if getattr(shape, "is_tagged_union", False):
        _expect(len(value) == 1, at, f"expected one of {', '.join(members)}, found {', '.join(value) or 'none'}")
    return {members[name][0]: _read(members[name][1], item, f"{at}.{name}") for name, item in value.items()}


def _range(shape, number, at, what):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    _expect(least is None or number >= least, at, f"{what} {number} is less than {least}")
    _expect(most is None or number <= most, at, f"{what} {number} is more than {most}")


def _expect(good, at, why):
    if not good:
        raise Unfit(f"{at}: {why}")
