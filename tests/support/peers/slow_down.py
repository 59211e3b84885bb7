"""The first request of each kind is asked to slow down."""

from fake_s3 import *


class Peer(FakeS3):
    def meddle(self, r):
        return self.count(r.operation) == 1 and r.refuse(503, "SlowDown", "Please reduce your request rate.")
