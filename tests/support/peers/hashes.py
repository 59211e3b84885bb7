"""Behaves, and takes objects of any size, because it keeps their SHA-256 only."""

from fake_s3 import *


class Peer(FakeS3):
    pass
