"""The gateway, its models, and what must be true of every request that it sends upstream.

SLUICE_STAND_IN=KIND lets a mock stand in for the gateway: then only the model of that mock is asked, and what only a gateway does is skipped.
"""

import http.client
import json
import os

import anthropic
import openai
import pytest

from models import MODELS

CLIENT_KEY = "key-of-the-client"
STAND_IN = os.environ.get("SLUICE_STAND_IN")


def pytest_generate_tests(metafunc):
    if "model" in metafunc.fixturenames:
        models = [model for model in MODELS if STAND_IN in (None, model.kind)]
        metafunc.parametrize("model", models, ids=lambda model: model.name)


@pytest.fixture(scope="session")
def gateway():
    """Where the gateway listens."""
    url = os.environ.get("SLUICE_GATEWAY")
    if not url:
        pytest.skip("no gateway: SLUICE_GATEWAY is not set")
    return url


@pytest.fixture
def alone(gateway):
    """For tests of what the gateway does by itself."""
    if STAND_IN:
        pytest.skip("a mock stands in for the gateway")
    return gateway


@pytest.fixture
def chat(gateway):
    """OpenAI's client."""
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key=CLIENT_KEY, max_retries=0, timeout=15) as client:
        yield client


@pytest.fixture
def messages(gateway):
    """Anthropic's client."""
    with anthropic.Anthropic(base_url=gateway, api_key=CLIENT_KEY, max_retries=0, timeout=15) as client:
        yield client


@pytest.fixture
def raw(gateway):
    """A client that sees the text: status, headers and body."""

    def send(path, body, headers=()):
        connection = http.client.HTTPConnection(gateway.removeprefix("http://"), timeout=15)
        sent = {"content-type": "application/json", "authorization": f"Bearer {CLIENT_KEY}", **dict(headers)}
        try:
            connection.request("POST", path, json.dumps(body), sent)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    return send


@pytest.fixture
def sent(mocks):
    """The requests that the mock of a model received."""
    return lambda model: mocks[model.kind].requests()


@pytest.fixture(autouse=True)
def kept_apart(mocks, judged):
    """The client's key is the gateway's business: it never goes upstream. Each request goes to one provider."""
    yield
    if STAND_IN:
        return
    for mock in mocks.values():
        for request in mock.requests():
            for name, value in request.headers:
                assert CLIENT_KEY not in value, f"{name} tells the client's key"
