"""A validator from an SDK's types that takes nothing they do not name.

The types are made for writing requests: they let unknown members pass (`extra` is allowed, so that newer servers can be used), and lists are
lazy iterables that nobody looks into. Both are changed in pydantic's schema of the type, all the way down.
"""

import json
from functools import cache, partial
from typing import List

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator


class Unfit(AssertionError):
    """What the provider's own model does not take."""


@cache
def validator(kind):
    """The strict validator of a type."""
    # a list, since pydantic takes no config for a type that may have its own
    adapter = TypeAdapter(List[kind], config=ConfigDict(arbitrary_types_allowed=True))
    return SchemaValidator(_strict(adapter.core_schema))


def check(kind, value):
    """Raises `Unfit` unless the value is one of the type."""
    try:
        # as JSON: strict mode then still takes `1` for a float and a string for an enum
        validator(kind).validate_json(json.dumps([value]), strict=True)
    except ValidationError as errors:
        raise Unfit(told(errors, skip=1)) from None


def told(errors, skip=0):
    """The deepest complaints first: in a union they belong to the branch that was meant."""
    found = sorted(errors.errors(include_url=False), key=lambda error: -len(error["loc"]))[:6]
    where = [".".join(map(str, error["loc"][skip:])) for error in found]
    return "; ".join(f"{place}: {error['msg']}" for place, error in zip(where, found))


def _strict(schema):
    if isinstance(schema, (list, tuple)):
        return type(schema)(_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if not isinstance(kind, str):
        # names of fields, which may be any
        return {key: _strict(part) for key, part in schema.items()}
    # metadata is for people, serialization for the other direction
    schema = {key: _strict(part) for key, part in schema.items() if key not in ("metadata", "serialization")}
    if "schema" in schema and (_is_model(schema, kind) or _is_lenient(schema, kind)):
        inner = dict(schema["schema"])
        if "ref" in schema:
            inner["ref"] = schema["ref"]
        return inner
    if kind == "generator":
        schema["type"] = "list"
    elif kind in ("typed-dict", "model-fields"):
        schema["extra_behavior"] = "forbid"
        schema.pop("extras_schema", None)
    if isinstance(schema.get("config"), dict):
        schema["config"].pop("extra_fields_behavior", None)
    return schema


def _is_model(schema, kind):
    """A model's class would bring its own, lenient validator."""
    return kind in ("model", "function-wrap", "function-after") and not schema.get("root_model")


def _is_lenient(schema, kind):
    """Reading a union whose unknown variants are kept as they are."""
    if kind != "function-before":
        return False
    function = schema["function"]["function"]
    return isinstance(function, partial) and function.func.__name__ == "parse_open_union"
