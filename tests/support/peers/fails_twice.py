"""Each request is answered 500 twice before it is served."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self):
        super().__init__()
        self.failed = {}

    def meddle(self, r):
        what = (r.operation, r.key, r.query.get("partNumber"))
        self.failed[what] = self.failed.get(what, 0) + 1
        return self.failed[what] <= 2 and r.refuse(500, "InternalError", "We encountered an internal error. Please try again.")
