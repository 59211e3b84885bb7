"""Answers each PutObject only after some seconds."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def intercept(self, r):
        if r.operation == "PutObject":
            self.ending.wait(self.seconds)
        return False
