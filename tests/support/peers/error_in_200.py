"""Answers CompleteMultipartUpload `times` times with 200 and an error in the body, as S3 does when it fails after it has begun the response."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, times):
        super().__init__()
        self.times = times

    def intercept(self, r):
        if r.operation != "CompleteMultipartUpload" or self.count(r.operation) > self.times:
            return False
        r.body()
        return r.answer(200, b"  \n<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>")
