"""Responds without an ETag to one kind of request."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def intercept(self, r):
        if r.operation != self.operation:
            return False
        plain, r.answer = r.answer, lambda status, body=b"", **h: plain(status, re.sub(rb"<ETag>.*</ETag>", b"", body), **{k: v for k, v in h.items() if k != "ETag"})
        return False
