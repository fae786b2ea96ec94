"""A mock provider, as seen by tests."""

import json
import urllib.request
from dataclasses import dataclass


@dataclass
class Recorded:
    """A request that a mock received."""

    method: str
    path: str
    headers: list
    body: str
    version: str

    def header(self, name):
        """The value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self):
        """The body."""
        return json.loads(self.body)


class Mock:
    """Where it listens, and what it received."""

    def __init__(self, url):
        self.url = url

    def requests(self):
        """All requests since the last `clear`, oldest first."""
        return [Recorded(**request) for request in json.loads(self._ask("GET"))]

    def last(self):
        """The newest request."""
        return self.requests()[-1]

    def clear(self):
        """Forgets the requests."""
        self._ask("DELETE")

    def _ask(self, method):
        request = urllib.request.Request(f"{self.url}/__requests", method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
            return response.read()
