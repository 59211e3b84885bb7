"""Answers one kind of request with bytes that come one by one and never end: a header, interim responses, or a body."""

import itertools

from fake_s3 import *

ENDLESS = {
    "header": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "interim": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", b" "),
}


class Peer(FakeS3):
    def __init__(self, operation, what):
        super().__init__()
        self.operation, (self.beginning, self.piece) = operation, ENDLESS[what]

    def intercept(self, r):
        if r.operation != self.operation:
            return False
        r.body()
        for piece in itertools.chain([self.beginning], itertools.repeat(self.piece)):
            r.handler.wfile.write(piece)
            if self.ending.wait(0.2):
                raise Cut
