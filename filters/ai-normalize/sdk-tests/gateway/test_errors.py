"""OpenAI's client: errors of providers and of the gateway itself, as OpenAI tells them."""

import http.client
import json

import openai
import pytest

CLASSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
    529: openai.InternalServerError,
}


def user(content):
    return [{"role": "user", "content": content}]


def refused(chat, kind, streamed=False, **ask):
    """The error, whose shape is that of OpenAI."""
    with pytest.raises(kind) as error:
        answer = chat.chat.completions.create(**ask, stream=streamed)
        list(answer)
    error = error.value
    assert {"message", "type", "param", "code"} <= set(error.body), error.body
    assert isinstance(error.body["message"], str) and error.body["message"]
    assert "<html" not in error.body["message"].lower()
    return error


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", CLASSES)
def test_a_providers_error_keeps_its_status(chat, model, status, streamed):
    error = refused(chat, CLASSES[status], streamed, model=model.name, messages=user(f"x mock[error={status}]"))
    assert error.status_code == status or (status, error.status_code) == (529, 503)
    assert error.response.headers["content-type"].startswith("application/json")


def test_when_to_try_again_is_told(chat, model):
    error = refused(chat, openai.RateLimitError, model=model.name, messages=user("x mock[error=429;retry_after=3]"))
    assert error.response.headers["retry-after"] == "3"


@pytest.mark.parametrize("body", ["html", "text", "empty", "array", "gzip"])
def test_whatever_form_an_error_has_the_client_sees_its_own(chat, alone, model, body):
    ask = {"model": model.name, "messages": user(f"x mock[error=503;body={body}]")}
    assert refused(chat, openai.InternalServerError, **ask).status_code == 503


@pytest.mark.parametrize("wish", ["mid_error", "garbage", "truncate"])
def test_a_stream_that_goes_wrong_does_not_end_well(chat, alone, model, wish):
    stream = chat.chat.completions.create(model=model.name, messages=user(f"one two three four mock[{wish}]"), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_a_stream_that_breaks_does_not_end_well(chat, alone, model):
    stream = chat.chat.completions.create(model=model.name, messages=user("one two three four mock[reset]"), stream=True)
    # an error in the stream, or a broken connection: the SDK passes on what its HTTP client raises
    with pytest.raises(Exception):
        list(stream)


def test_a_wrong_checksum_is_an_error(chat, alone):
    stream = chat.chat.completions.create(model="bedrock", messages=user("one two three four mock[bad_crc]"), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_an_unknown_model_is_not_found_and_near_names_are_told(chat, alone):
    error = refused(chat, openai.NotFoundError, model="opnai", messages=user("x"))
    assert error.body["code"] == "model_not_found" and "openai" in error.body["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"model": 7, "messages": []}', b'{"model": "openai"'])
def test_what_is_no_request_is_refused_in_the_same_form(alone, body):
    connection = http.client.HTTPConnection(alone.removeprefix("http://"), timeout=15)
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json", "authorization": "Bearer k"})
    response = connection.getresponse()
    error = json.loads(response.read())["error"]
    connection.close()
    assert response.status == 400
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"
