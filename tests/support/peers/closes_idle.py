"""Closes every connection half a second after its last request, without a word, as S3 does with idle ones."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self):
        super().__init__()
        self.server.RequestHandlerClass.timeout = 0.5
