"""Holds the first request of one operation: 'before' it is served, or 'after' that but before the response. `held` is set then; `release` lets it go on, although its client may be gone."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, operation, step):
        super().__init__()
        self.operation, self.step = operation, step
        self.held, self.release, self.served = threading.Event(), threading.Event(), threading.Event()

    def intercept(self, r):
        if r.operation != self.operation or self.count(r.operation) > 1:
            return False
        if self.step == "before":
            if r.length:  # the client has begun to send its body
                r.go_on()
                r.handler.rfile.peek(1)
            self.hold()
        r.answer = lambda *_, **__: None  # served, but without a response
        self.serve(r)
        self.served.set()
        if self.step == "after":
            self.hold()
        raise Cut

    def hold(self):
        self.held.set()
        self.release.wait(60)
