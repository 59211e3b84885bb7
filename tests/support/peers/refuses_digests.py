"""Refuses with BadDigest each PutObject but the first, as if bytes had changed on their way: what it has stays as it is."""

from fake_s3 import *


class Peer(FakeS3):
    def meddle(self, r):
        again = r.operation == "PutObject" and self.count(r.operation) > 1
        return again and r.refuse(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
