"""The clock of the server jumps by an hour and by a day, forward and back, while it runs: uploads go on, no message is sent twice or held back, nothing spins, and all is as before when the clock is right again.

The clock is faked with libfaketime: the time of day only, for the monotonic clock never jumps on a real machine either (DONT_FAKE_MONOTONIC). What a wrong clock does, and what the reference says nothing about, is written in the tests.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from faked_clock import *
from uploaders import Receiver
import hooks

JUMPS = (HOUR, -HOUR, DAY, -DAY)
SOON = 20  # seconds of real time
WATCHED = 3 if FULL else 1  # seconds in which the processor's time is measured


def config(url):
    return ('[auth]\nanonymous = true\n[sweep]\ninterval = "500ms"\ngrace = "0s"\n[limits]\nsign_rate = 0\nconnections_per_address = 0\n' + hooks.endpoint(url))


class Clock(unittest.TestCase):
    def upload(self, server, form=None, bucket="local"):
        form = form or server.sign(success_action_status=204)
        status, _, body = server.post_form(form["fields"], b"hello", bucket)
        return form, status, body

    def check_idle(self, server):
        """A server that has nothing to do uses no processor: no timer fires again and again."""
        cpu, begin = server.cpu_seconds(), time.monotonic()
        time.sleep(WATCHED)  # the time that is measured
        self.assertLess(server.cpu_seconds() - cpu, 0.5 * (time.monotonic() - begin))

    def test_uploads_and_messages_go_on(self):
        with Receiver() as receiver, FakedClock(config(receiver.url)) as server:
            for jump in JUMPS:
                with self.subTest(jump):
                    waiting, running = server.sign(success_action_status=204), server.sign(success_action_status=204)
                    head = form_begin(running["fields"])
                    with server.raw() as s:
                        s.sendall(form_header(len(head) + 1000 + len(form_end())) + head + b"x")
                        wait_until(lambda: (server.status(running["id"]) or {}).get("state") == "receiving", "the upload has begun")
                        server.set_clock(jump)
                        self.assertLess(abs(server.clock_ahead() - jump), 60)
                        # An upload that runs is not ended. After a jump forward it seems to have been silent for long, so
                        # the sweep may call it expired; its end makes it completed.
                        sweeps = server.metric("postern_sweep_checks_total")
                        during = self.upload(server)
                        self.assertEqual(during[1], 204, during[2])
                        receiver.wait_for([during[0]["id"]], "upload.completed", SOON)
                        if jump > 0:
                            wait_until(lambda: server.metric("postern_sweep_checks_total") > sweeps, "a sweep by the new clock", SOON)
                        self.assertIn(server.status(running["id"])["state"], ("receiving", "expired") if jump > 0 else ("receiving",))
                        s.sendall(b"x" * 999 + form_end())
                        self.assertEqual(read_answer(s)[0], 204)
                    receiver.wait_for([running["id"]], "upload.completed", SOON)
                    self.check_idle(server)

                    # Forms that were signed before a jump forward have expired, and are told so.
                    if jump > 0:
                        receiver.wait_for([waiting["id"]], "upload.expired", SOON)
                        _, status, body = self.upload(server, waiting)
                        self.assertEqual((status, s3_code(body)), (403, "AccessDenied"))
                    else:
                        self.assertEqual(server.status(waiting["id"])["state"], "issued")

                    # With the right clock they are as good as before.
                    server.set_clock(0)
                    self.assertEqual(self.upload(server, waiting)[1], 204)
                    after = self.upload(server)
                    self.assertEqual(after[1], 204)
                    receiver.wait_for([waiting["id"], after[0]["id"]], "upload.completed", SOON)
                    expired = ["upload.expired"] if jump > 0 else []
                    for form, told in ((during[0], []), (after[0], []), (waiting, expired), (running, [t for _, t in receiver.of(running["id"]) if t == "upload.expired"][:1])):
                        # Each message is delivered once.
                        self.assertEqual(sorted(t for _, t in receiver.of(form["id"])), ["upload.completed", *told])
                    self.check_idle(server)
            self.assertEqual(server.undelivered(), [])
            self.assertTrue(server.is_ready())

    def test_a_message_in_flight_is_not_sent_again(self):
        """A jump forward ends all leases. The node that delivers the message knows that."""
        for jump in (HOUR, DAY):
            answer = threading.Event()

            def late(request, _, answer=answer):
                answer.wait(SOON)
                request.respond(204)

            with self.subTest(jump), hooks.Receiver({"/hooks": late}) as receiver, FakedClock(config(f"http://127.0.0.1:{receiver.port}/hooks")) as server:
                first = self.upload(server)[0]
                receiver.wait("/hooks")
                server.set_clock(jump)
                second = self.upload(server)[0]  # wakes the deliveries
                receiver.wait("/hooks", 2)
                sweeps = server.metric("postern_ledger_commit_seconds_count")
                wait_until(lambda sweeps=sweeps: server.metric("postern_ledger_commit_seconds_count") > sweeps + 5, "the ledger is asked for due messages", SOON)
                answer.set()
                wait_until(lambda server=server: server.undelivered() == [], "all delivered", SOON)
                self.assertEqual(sorted(a.json()["data"]["id"] for a in receiver.at("/hooks")), sorted([first["id"], second["id"]]))

    def test_a_paused_endpoint_is_tried_again_after_a_jump_back(self):
        """Its pause was measured by the wrong clock. A message whose own retry was planned by that clock waits for that time."""
        port = free_port()
        with FakedClock(config(f"http://127.0.0.1:{port}/hooks")) as server:
            server.set_clock(DAY)
            early = [self.upload(server)[0] for _ in range(6)]
            wait_until(lambda: "it is paused" in server.log_text(), "the endpoint is paused", SOON)
            server.set_clock(0)
            with hooks.Receiver(port=port) as receiver:
                late = self.upload(server)[0]
                wait_until(lambda: late["id"] in {a.json()["data"]["id"] for a in receiver.at("/hooks")}, "the message after the jump back", SOON)
                server.set_clock(DAY + HOUR)
                wait_until(lambda: {a.json()["data"]["id"] for a in receiver.at("/hooks")} == {f["id"] for f in [*early, late]}, "the earlier messages", SOON)
                self.assertEqual(len({a.id for a in receiver.at("/hooks")}), 7)

    @unittest.skipUnless(rgw.is_installed(), "Ceph RGW is not installed; tests/run installs it")
    def test_requests_to_s3_are_signed_with_the_time_of_the_store(self):
        with Rgw() as s3, Receiver() as receiver:
            settings = {"store__type": "s3", "store__endpoint": s3.endpoint, "store__bucket": s3.bucket, "store__path_style": "true", "store__region": rgw.REGION}
            with FakedClock(config(receiver.url), **settings) as server:
                for jump in JUMPS:
                    with self.subTest(jump):
                        server.set_clock(jump)
                        form, status, body = self.upload(server, bucket="media")
                        self.assertEqual(status, 204, body)
                        self.assertTrue(s3.has(form["key"]))
                        direct = server.sign()  # the refusal has told the store's time
                        self.assertEqual(post_to_s3(direct)[0], 303)
                        server.set_clock(0)
                        form, status, body = self.upload(server, bucket="media")
                        self.assertEqual(status, 204, body)
                        direct = server.sign()
                        self.assertEqual(post_to_s3(direct)[0], 303)
                self.assertIn("this machine's clock is wrong", server.log_text())


if __name__ == "__main__":
    if not library():
        skip_all("libfaketime is not installed; tests/run installs it (Debian's package faketime)")
    if is_sanitized():
        skip_all("libfaketime and AddressSanitizer both want to be loaded first")
    main()
