"""Messages by the types of `anthropic`."""

from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParams

from judge.strict import Unfit, check

# The SDK is of a version of the API that has no sampling parameters; this one has them still.
_OLD = "2023-06-01"
_SAMPLING = {"temperature": (float, int), "top_p": (float, int), "top_k": (int,)}


def judge(request):
    """Its key is in one header, its version in another."""
    if (request.header("x-api-key") is None) == (request.header("authorization") is None):
        raise Unfit("one of x-api-key and authorization has to be there")
    if not request.header("anthropic-version"):
        raise Unfit("no anthropic-version")
    body = request.json()
    if request.path.split("?")[0] == "/v1/messages/count_tokens":
        check(MessageCountTokensParams, body)
    elif request.path.split("?")[0] == "/v1/messages":
        judge_body(body, request.header("anthropic-version"))
    else:
        raise Unfit("Anthropic has no such path")


def judge_body(body, version):
    """The body alone."""
    body = dict(body)
    if version == _OLD:
        for name, types in _SAMPLING.items():
            if name in body and (type(body[name]) not in types or not 0 <= body[name]):
                raise Unfit(f"{name}: {body[name]!r}")
            body.pop(name, None)
    check(MessageCreateParams, body)
