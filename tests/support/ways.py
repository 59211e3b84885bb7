"""A client of the ways beside the form: a presigned PUT, and parts. It sends with curl, which is no browser and no SDK."""

import json, math, os, subprocess, tempfile

ALL = ["form", "put", "multipart", "fallback"]


def curl(method, url, headers, body=b""):
    """One request of bytes, or of the file at a path: (status, headers, body) of the answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = body
        if isinstance(body, bytes):
            path = os.path.join(folder, "body")
            with open(path, "wb") as f:
                f.write(body)
        command = ["curl", "-sS", "-i", "--max-time", "600", "-X", method, "--data-binary", f"@{path}", "-H", "Expect:"]
        if not any(name.lower() == "content-type" for name in headers):
            command += ["-H", "Content-Type:"]
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        done = subprocess.run(command + [url], capture_output=True, timeout=700, check=False)
        assert done.returncode == 0, done.stderr
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (l.split(": ", 1) for l in lines[1:] if ": " in l)}, rest


def way_of(form, name):
    """The entry of that way in a signing answer; None: it is not offered."""
    return next((w for w in form["ways"] if w["way"] == name), None)


class Parts:
    """The parts of one upload, by its token."""

    def __init__(self, server, form):
        self.server, self.id = server, form["id"]
        way = way_of(form, "multipart")
        self.part_size, self.token = way["part_size"], way["headers"]["Authorization"].removeprefix("Upload ")
        self.path = f"/v1/uploads/{self.id}/parts"

    def ask(self, method, path="", body=None, token=None):
        headers = {"Authorization": "Upload " + (token or self.token)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        status, _, text = self.server.request(method, self.path + path, None if body is None else json.dumps(body).encode(), headers)
        answer = json.loads(text)
        self.token = answer.get("token", self.token)
        return status, answer

    def sign(self, numbers, checksums=None):
        return self.ask("POST", body={"parts": list(numbers), **({"checksums": checksums} if checksums else {})})

    def count(self, size):
        return max(1, math.ceil(size / self.part_size))

    def send(self, data, numbers=None):
        """Signs and sends these parts of the bytes, or all."""
        self.send_pieces(len(data), lambda begin, length: data[begin:begin + length], numbers)

    def send_pieces(self, size, piece, numbers=None):
        """The same for a file that is not held whole: piece(begin, length) are some of its bytes."""
        numbers = list(numbers or range(1, self.count(size) + 1))
        for begin in range(0, len(numbers), 100):
            status, answer = self.sign(numbers[begin:begin + 100])
            assert status == 200, answer
            for part in answer["parts"]:
                status, _, text = curl("PUT", part["url"], part["headers"], piece((part["number"] - 1) * self.part_size, self.part_size))
                assert status == 200, text

    def list(self):
        status, answer = self.ask("GET")
        assert status == 200, answer
        return answer["parts"]

    def complete(self, parts=None):
        return self.ask("POST", "/complete", {} if parts is None else {"parts": parts})

    def abort(self):
        return self.ask("DELETE")
