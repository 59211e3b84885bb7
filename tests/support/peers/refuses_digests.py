"""Rejects each PutObject but the first with BadDigest, as if bytes had changed on the way. The first object stays."""

from fake_s3 import *


class Peer(FakeS3):
    def intercept(self, r):
        again = r.operation == "PutObject" and self.count(r.operation) > 1
        return again and r.refuse(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
