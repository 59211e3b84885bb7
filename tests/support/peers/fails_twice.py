"""Answers each request twice with 500 before it serves the request."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self):
        super().__init__()
        self.failed = {}

    def intercept(self, r):
        what = (r.operation, r.key, r.query.get("partNumber"))
        self.failed[what] = self.failed.get(what, 0) + 1
        return self.failed[what] <= 2 and r.refuse(500, "InternalError", "We encountered an internal error. Please try again.")
