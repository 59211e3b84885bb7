"""Every request of one kind is answered 500, for ever."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def meddle(self, r):
        return r.operation == self.operation and r.refuse(500, "InternalError")
