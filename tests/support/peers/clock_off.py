"""The server's clock is 20 minutes ahead, and it rejects signatures whose time differs by more than 15 minutes."""

from fake_s3 import *


class Peer(FakeS3):
    clock_off = 20 * 60

    def intercept(self, r):
        import calendar
        if "x-amz-date" not in r.headers:
            return False
        signed_at = calendar.timegm(time.strptime(r.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        if abs(signed_at - time.time() - self.clock_off) <= 15 * 60:
            return False
        return r.refuse(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
