"""Uploads that nobody reports: no redirect, no events. The store is asked early, at a bounded rate.

The short form abandons 1 000 uploads; POSTERN_FULL=1 makes it 10 000, and measures for two minutes.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from fake_s3 import FakeS3

QUIET = "[auth]\nanonymous = true\n[limits]\nsign_rate = 0\n[sweep]\ninterval = '1h'\n"  # the sweep itself does nothing


class Counting(FakeS3):
    """Keeps the time of each request about an object."""

    def __init__(self):
        super().__init__()
        self.times = []
        self.server.socket.listen(256)  # a round asks all at once; the default of 5 would make connections wait for seconds

    def intercept(self, r):
        if r.key:
            self.times.append(time.monotonic())
        return super().intercept(r)


def busiest(times, seconds):
    """The most of these sorted times that lie within so many seconds."""
    most, first = 0, 0
    for last, t in enumerate(times):
        while t - times[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class Probe(unittest.TestCase):
    def test_an_upload_that_nobody_reports_is_completed_soon(self):
        need_rgw()
        with Rgw() as s3, s3_server(s3, QUIET) as server:
            early, late = (server.sign(success_action_status=204) for _ in range(2))
            signed = time.monotonic()
            self.assertEqual(post_to_s3(early)[0], 204)
            wait_until(lambda: server.status(early["id"])["state"] == "completed", "the first probe", 20)
            first = time.monotonic() - signed
            self.assertEqual(post_to_s3(late)[0], 204)
            wait_until(lambda: server.status(late["id"])["state"] == "completed", "a later probe", 30)
            self.assertEqual({server.status(f["id"])["completed_by"] for f in (early, late)}, {"probe"})
            print(f"completed {first:.1f} s and {time.monotonic() - signed:.1f} s after signing", flush=True)
            self.assertEqual(server.metric('postern_completions_total{source="probe"}'), 2)

    def test_abandoned_uploads_cost_a_bounded_number_of_requests(self):
        uploads, rate, seconds = (10_000, 50, 120) if FULL else (1_000, 20, 5)  # 50 is the default rate
        with Counting() as s3, s3_server(s3, QUIET + f"probe_rate = {rate}\n") as server:
            in_threads(lambda n: [server.sign() for _ in range(uploads // 10)], range(10))
            wait_until(lambda: server.metric("postern_probes_total") > 0, "the first probe", 20)
            begin, before = time.monotonic(), server.metric("postern_probes_total")
            time.sleep(seconds)
            asked, took = server.metric("postern_probes_total") - before, time.monotonic() - begin
            times = [t for t in s3.times if begin <= t <= begin + took]
            # A round begins each second, and its requests may come late. So two rounds can meet in one second, but not eleven in ten.
            most, most_of_ten = busiest(times, 1), busiest(times, 10)
            print(f"{uploads} abandoned uploads, sweep.probe_rate = {rate}: in {took:.1f} s {asked:.0f} probes and {len(times)} requests about objects reached the store, "
                  f"{len(times) / took:.1f} a second, at most {most} in one second and {most_of_ten} in ten", flush=True)
            self.assertGreater(asked, 0)
            self.assertLessEqual(asked, rate * (took + 1))
            self.assertLessEqual(len(times), rate * (took + 1))
            self.assertLessEqual(most, 2 * rate)
            self.assertLessEqual(most_of_ten, 11 * rate)

    def test_without_probes_nobody_asks(self):
        with Server(QUIET + "probe = false\n") as server:
            form = server.sign()
            time.sleep(7)
            self.assertEqual(server.metric("postern_probes_total"), 0)
            self.assertEqual(server.status(form["id"])["state"], "issued")


if __name__ == "__main__":
    main()
