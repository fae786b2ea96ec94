"""A mock provider, as seen by tests."""

import http.client
import json
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
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)

    def requests(self):
        """All requests since the last `clear`, oldest first."""
        return [Recorded(**request) for request in json.loads(self._ask("GET"))]

    def clear(self):
        """Forgets the requests."""
        self._ask("DELETE")

    def _ask(self, method):
        # every test asks every mock: the connection is kept
        self._connection.request(method, "/__requests")
        return self._connection.getresponse().read()
