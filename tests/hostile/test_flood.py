"""A flood of connections from one address must not keep the others from uploading. POSTERN_FULL=1 runs it for a minute."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from flood import Flood
from highest import Highest
from normal_clients import normal_uploads
from whole import *

SECONDS = 60 if FULL else 8
PER_SECOND, DESCRIPTORS = 2000, 1024
SPARE = 32  # descriptors that the server may open beside those that it had


class Floods(unittest.TestCase):
    def test_connections_at_full_speed_from_one_address(self):
        with Server(descriptors=DESCRIPTORS, limits__connections_per_address=200, limits__sign_rate=50) as server:
            alone, idle = normal_uploads(server.port, "local", 3), server.open_descriptors()
            with Highest(server.open_descriptors, 0.02) as seen, Flood(server.port, PER_SECOND, SECONDS) as flood:
                beside = normal_uploads(server.port, "local", SECONDS - 2)
                flood.wait()
                begin = time.monotonic()
                self.assertEqual(self.upload(server), 303)
                first = time.monotonic() - begin
            after = normal_uploads(server.port, "local", 2)
            print(f"\n{flood.opened / flood.seconds:.0f} connections a second from one address for {flood.seconds:.0f} s, {flood.refused} of {flood.opened} answered 503; load {os.getloadavg()[0]:.1f}\n"
                  f"honest uploads: {beside.done()}/{beside.asked()}; 100 KiB, p50/p99 in ms: alone {self.times(alone)}, beside the flood {self.times(beside)}, after it {self.times(after)}; the first one after it took {first * 1000:.0f} ms\n"
                  f"descriptors: {idle} before, {seen.most} at most, of {DESCRIPTORS}", file=sys.stderr)
            self.assertEqual((alone.bad, beside.bad, after.bad), ([], [], []), "honest uploads that failed")
            self.assertTrue(beside.small and beside.large, "there were honest uploads of both sizes")
            self.assertGreater(flood.refused, 200, "the limit for one address was reached")
            self.assertLess(first, 10)
            self.assertLess(seen.most, DESCRIPTORS)
            self.assertNotIn("accept failed", server.log_text())
            wait_until(lambda: server.open_descriptors() <= idle + SPARE, "the descriptors are free again", 30)

    def times(self, uploads):
        return f"{uploads.milliseconds(0.5):.0f}/{uploads.milliseconds(0.99):.0f}"

    def upload(self, server):
        return server.post_form(server.sign()["fields"], b"x" * 100_000)[0]


if is_sanitized():
    skip_all("it measures, and a sanitizer makes the program several times slower")
main()
