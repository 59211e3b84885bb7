"""Answers the first request of each kind with SlowDown."""

from fake_s3 import *


class Peer(FakeS3):
    def intercept(self, r):
        return self.count(r.operation) == 1 and r.refuse(503, "SlowDown", "Please reduce your request rate.")
