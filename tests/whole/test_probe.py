"""Uploads that nobody reports: no redirect, no events. The store is asked early, at a bounded rate."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *

QUIET = "[auth]\nanonymous = true\n[limits]\nsign_rate = 0\n[sweep]\ninterval = '1h'\n"  # the sweep itself does nothing


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
        with peer("no_etag", "none") as s3, s3_server(s3, QUIET + "probe_rate = 20\n") as server:
            in_threads(lambda n: [server.sign() for _ in range(100)], range(10))
            wait_until(lambda: server.metric("postern_probes_total") > 0, "the first probe", 20)
            begin, before = time.monotonic(), server.metric("postern_probes_total")
            time.sleep(5)
            asked, took = server.metric("postern_probes_total") - before, time.monotonic() - begin
            print(f"{asked:.0f} probes in {took:.1f} s for 1 000 abandoned uploads", flush=True)
            self.assertGreater(asked, 0)
            self.assertLessEqual(asked, 20 * (took + 1))

    def test_without_probes_nobody_asks(self):
        with Server(QUIET + "probe = false\n") as server:
            form = server.sign()
            time.sleep(7)
            self.assertEqual(server.metric("postern_probes_total"), 0)
            self.assertEqual(server.status(form["id"])["state"], "issued")


if __name__ == "__main__":
    main()
