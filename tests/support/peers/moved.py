"""Redirects every request to another server with 307, as S3 does while a new bucket's name propagates."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, to):
        super().__init__()
        self.to = to

    def intercept(self, r):
        return r.refuse(307, "TemporaryRedirect", Location=self.to + r.handler.path)
