"""Where the mocks and the gateway are: the environment tells."""

import json
import os
import socket

import pytest

from judge import judge
from mock import Mock

for name in list(os.environ):
    if name.lower().endswith("_proxy") or name.startswith(("OPENAI_", "ANTHROPIC_", "AWS_", "GOOGLE_", "GEMINI_", "CO_API", "MISTRAL_")):
        del os.environ[name]

_resolve = socket.getaddrinfo


def _loopback_only(host, *rest, **more):
    """A test that asks for a host elsewhere is wrong, whether or not there is a network."""
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the tests talk to this machine only, not to {host}")
    return _resolve(host, *rest, **more)


socket.getaddrinfo = _loopback_only


def pytest_report_header():
    gateway = os.environ.get("SLUICE_GATEWAY")
    return f"gateway: {gateway or 'none (SLUICE_GATEWAY is not set)'}; mocks: {', '.join(sorted(_mocks()))}"


def _mocks():
    return json.loads(os.environ.get("SLUICE_MOCKS", "{}"))


@pytest.fixture(scope="session")
def mocks():
    """The mocks by kind."""
    addresses = _mocks()
    if not addresses:
        pytest.exit("SLUICE_MOCKS names no mocks; `cargo xtask test sdks` starts them", returncode=2)
    return {kind: Mock(url) for kind, url in addresses.items()}


@pytest.fixture
def mock(mocks, request):
    """The mock that the test's file plays with (its KIND)."""
    return mocks[request.module.KIND]


@pytest.fixture(autouse=True)
def judged(request, mocks):
    """Every request that a test caused is judged by the provider's own model, unless the test means it to be wrong."""
    for mock in mocks.values():
        mock.clear()
    yield
    if request.node.get_closest_marker("unjudged"):
        return
    for kind, mock in mocks.items():
        for recorded in mock.requests():
            judge(kind, recorded)
