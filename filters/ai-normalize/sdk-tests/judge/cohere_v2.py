"""Chat and Embed by the parameters of `cohere`'s own methods: it has no type for a whole request."""

import inspect
from functools import cache

from cohere.v2.raw_client import RawV2Client
from pydantic import create_model

from judge.strict import Unfit, check


@cache
def _request(method, *more):
    parameters = inspect.signature(getattr(RawV2Client, method)).parameters
    members = {name: (p.annotation, ... if p.default is p.empty else None) for name, p in parameters.items()}
    for name in ("self", "request_options"):
        members.pop(name)
    return create_model(method, **members, **{name: (kind, None) for name, kind in more})


def judge(request):
    """What `chat` and `embed` would send; streams are told by a member."""
    if request.path == "/v2/chat":
        check(_request("chat", ("stream", bool)), request.json())
    elif request.path == "/v2/embed":
        check(_request("embed"), request.json())
    else:
        raise Unfit("Cohere has no such path")
