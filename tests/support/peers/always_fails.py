"""Answers every request of one kind with 500."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def intercept(self, r):
        return r.operation == self.operation and r.refuse(500, "InternalError")
