"""Never answers one kind of request."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def intercept(self, r):
        if r.operation == self.operation:
            r.body()
            self.ending.wait(600)
            raise Cut
        return False
