"""Reads the server-sent events of one upload."""

import http.client, json
from urllib.parse import urlsplit


class Events:
    """Reads one stream of server-sent events."""

    def __init__(self, server, form, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self.connection.request("GET", urlsplit(form["status_url"]).path, headers={"Accept": "text/event-stream", **headers})
        self.answer = self.connection.getresponse()

    def next(self):
        """(id, data) of the next event; None at the end."""
        fields = {}
        while line := self.answer.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
        if not fields:
            return None
        return (fields["id"], json.loads(fields["data"])) if "data" in fields else self.next()

    def close(self):
        self.answer.close()
        self.connection.close()
