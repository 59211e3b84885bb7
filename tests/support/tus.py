"""A client of tus 1.0 that sends exactly what a test says."""

import base64, hashlib
from urllib.parse import urlsplit

VERSION = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}


def metadata(**values):
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())


def checksum(data, algorithm="sha1"):
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


class Upload:
    """One upload at its URL. `server` may be changed: another node goes on."""

    def __init__(self, server, url, id=None):
        self.server, self.path, self.id = server, urlsplit(url).path, id

    def ask(self, method, headers=None, body=None):
        return self.server.request(method, self.path, body, {**VERSION, **(headers or {})})

    def head(self):
        return self.ask("HEAD")

    def offset(self):
        status, headers, _ = self.head()
        assert status == 200, (status, headers, self.ask("GET"))
        return int(headers["upload-offset"])

    def patch(self, offset, data, **more):
        return self.ask("PATCH", {**BODY, "Upload-Offset": str(offset), **more}, data)

    def delete(self):
        return self.ask("DELETE")

    def begin(self, offset, size, source="127.0.0.1", **more):
        """Sends the header of a PATCH of so many bytes on a connection of its own, and returns the socket."""
        s = self.server.raw(source=source)
        fields = {**VERSION, **BODY, "Host": "x", "Upload-Offset": str(offset), "Content-Length": str(size), **more}
        s.sendall((f"PATCH {self.path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()) + "\r\n").encode())
        return s

    def send(self, data, piece=None):
        """Sends the bytes from where the server has them, in requests of `piece` bytes."""
        at = self.offset()
        while True:
            part = data[at:at + (piece or len(data) or 1)]
            status, headers, body = self.patch(at, part)
            assert status == 204, (status, headers, body)
            at = int(headers["upload-offset"])
            if at >= len(data):
                return


def create(server, size=None, body=None, path="/v1/files", expect=201, **headers):
    """A new upload; `size` None: its length is declared later. Returns the Upload, or the answer if another status is expected."""
    fields = {"Upload-Defer-Length": "1"} if size is None else {"Upload-Length": str(size)}
    fields.update(VERSION if "Tus-Resumable" not in headers else {})
    fields.update({"Content-Type": BODY["Content-Type"]} if body is not None else {})
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    answer = server.request("POST", path, body, {n: v for n, v in fields.items() if v is not None})
    assert answer[0] == expect, answer
    return Upload(server, answer[1]["location"], answer[1]["postern-id"]) if expect == 201 else answer
