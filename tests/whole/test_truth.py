"""The ledger is correct: reports from all sources, in any order and any number, make one completion and one message for each object."""

import calendar, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from receiver import Receiver
import postgres

COUNT = 1000 if FULL else 200
TOKEN = "a token for the events of tests"
SECRET = "whsec_" + base64.b64encode(b"a secret for the webhooks of tests").decode()


def config(receiver, expires="20s", sweep="1s", grace="0s"):
    return (f'[auth]\nanonymous = true\n[profiles.default]\nexpires = "{expires}"\nmax_size = "1MB"\n[events]\ntoken = "{TOKEN}"\n[sweep]\nprobe = false\ninterval = "{sweep}"\ngrace = "{grace}"\n'
            f'[[webhooks]]\nurl = "{receiver.url}"\nsecret = "{SECRET}"\nallow_private = true\n')


def post(form, data=b"hello"):
    """Posts the form straight to S3, as a browser does. The browser does not follow the redirect."""
    status, headers, body = post_to_s3(form, data)
    assert status == 303 and headers["location"].startswith(form["complete_url"]), (status, body)


def put(s3, form, body, **metadata):
    """Puts an object that no form of Postern allows, under the form's key, with the form's id."""
    s3.request("PUT", form["key"], body=body, headers={"Content-Type": "application/octet-stream", "x-amz-meta-postern-id": form["id"], **metadata})


def event(server, form, etag="", size=5):
    records = [{"eventVersion": "2.2", "eventSource": "ceph:s3", "eventName": "ObjectCreated:Post", "s3": {"bucket": {"name": "media"}, "object": {"key": form["key"], "size": size, "eTag": etag}}}]
    return server.request("POST", "/v1/events", json.dumps({"Records": records}).encode(), {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN})


def redirect(server, form):
    path = urlsplit(form["complete_url"]).path
    return server.request("GET", path + "?bucket=media&key=" + form["key"].replace(" ", "%20"), headers={"Accept": "application/json"})


def seconds_left(form):
    return calendar.timegm(time.strptime(form["expires_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.time()


class Truth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = Rgw().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.s3.close()

    def nodes(self, receiver, ledger, **more):
        secret = "a secret that both nodes share"
        return [s3_server(self.s3, config(receiver, **more), ledger__url=ledger, server__secrets=secret) for _ in range(2)]

    def all_at_once(self, ledger):
        """A tenth of the uploads is reported by redirects alone, a tenth by events alone and a tenth by nobody. All others are reported five times, half of these while the sweep checks them too."""
        rng = seeded("sources")
        with Receiver() as receiver:
            nodes = self.nodes(receiver, ledger, expires="12s")
            with nodes[0], nodes[1]:
                def uploaded(n):
                    form = nodes[n % 2].sign()
                    post(form)
                    return form

                def report(sources):
                    rng.shuffle(sources)
                    reports = [(source, rng.choice(nodes), form) for source, form in sources]
                    # Sixteen clients at the same time.
                    answers = in_threads(lambda share: [source(node, form)[0] for source, node, form in share], [reports[n::16] for n in range(16)])
                    self.assertEqual({status for share in answers for status in share}, {200})

                forms = [form for share in in_threads(lambda first: [uploaded(n) for n in range(first, COUNT, 16)], range(16)) for form in share]
                tenth = COUNT // 10
                by_redirect, by_event, _by_nobody, early, late = forms[:tenth], forms[tenth:2 * tenth], forms[2 * tenth:3 * tenth], forms[3 * tenth:6 * tenth], forms[6 * tenth:]
                five_times = lambda forms: [(redirect, f) for f in forms for _ in range(2)] + [(event, f) for f in forms for _ in range(3)]
                report(five_times(early) + [(redirect, f) for f in by_redirect for _ in range(2)] + [(event, f) for f in by_event for _ in range(3)])
                self.assertGreater(min(map(seconds_left, forms)), 0, "this machine is too slow: forms expired before their first reports were sent")
                wait_until(lambda: max(map(seconds_left, forms)) < 0.2, "the forms' end, when the sweep begins to ask")
                report(five_times(late))
                receiver.wait_for([f["id"] for f in forms], "upload.completed")
                # When the sweep has completed this upload, it has settled all uploads that were due before.
                last = nodes[0].sign()
                post(last)
                receiver.wait_for([last["id"]], "upload.completed")
                wait_until(lambda: nodes[0].undelivered() == [], "all webhooks delivered")
                sources = collections.Counter()
                for f in forms:
                    recorded = nodes[0].status(f["id"])
                    self.assertEqual((recorded["state"], recorded["size"]), ("completed", 5))
                    self.assertNotIn("overwritten_at", recorded)
                    self.assertEqual([t for _, t in receiver.of(f["id"])], ["upload.completed"])  # delivered once, because no delivery failed
                    sources[recorded["completed_by"]] += 1
                print(f"\n{COUNT} objects, two nodes, {ledger.split(':')[0]}: completed by {dict(sources)}", file=sys.stderr)
                for source in ("redirect", "event", "sweep"):
                    self.assertGreaterEqual(sources[source], tenth)
                self.assertEqual(receiver.count(), COUNT + 1)
                for source in ("redirect", "event", "sweep"):  # two calls within one millisecond both count themselves
                    self.assertGreaterEqual(sum(n.metric(f'postern_completions_total{{source="{source}"}}') for n in nodes), sources[source])

    def test_all_sources_at_once_on_two_nodes_with_postgresql(self):
        with postgres.Postgres() as database:
            self.all_at_once(database.url())

    def test_all_sources_at_once_on_two_nodes_with_sqlite(self):
        with tempfile.TemporaryDirectory() as folder:
            self.all_at_once("sqlite:" + os.path.join(folder, "shared.db"))

    def test_event_and_sweep_complete_uploads_whose_browser_closed(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver, expires="3s", sweep="500ms")) as server:
            by_event, by_sweep, by_nobody, replaced = (server.sign() for _ in range(4))
            for f in (by_event, by_sweep):
                post(f)
            put(self.s3, replaced, b"x" * 2_000_000)  # more than the policy allows
            self.assertEqual(event(server, by_event)[0], 200)
            self.assertEqual(server.status(by_event["id"])["completed_by"], "event")
            receiver.wait_for([by_event["id"], by_sweep["id"]], "upload.completed", 30)
            self.assertEqual(server.status(by_sweep["id"])["completed_by"], "sweep")
            # One upload without an object, and one with an object that no form allows.
            receiver.wait_for([by_nobody["id"], replaced["id"]], "upload.expired", 30)
            for f in (by_nobody, replaced):
                self.assertEqual(server.status(f["id"])["state"], "expired")
                self.assertEqual(len(receiver.of(f["id"])), 1)
            self.assertIn("the policy allowed 0 to 1000000", server.log_text())
            # A late report is recorded all the same.
            put(self.s3, by_nobody, b"hello")  # as if a copy of the object came from another store: the form has ended
            self.assertEqual(event(server, by_nobody)[0], 200)
            receiver.wait_for([by_nobody["id"]], "upload.completed", 30)
            self.assertEqual(server.status(by_nobody["id"])["state"], "completed")

    def test_only_a_matching_object_completes_an_upload(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver)) as server:
            form, other = server.sign(), server.sign()
            path = urlsplit(form["complete_url"]).path
            ask = lambda p: server.request("GET", p, headers={"Accept": "application/json"})
            payload, _, mac = path.rsplit("/", 1)[1].partition(".")
            forged = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).replace(form["id"].encode(), other["id"].encode())
            for claim in (payload + "." + mac[:-2] + ("AA" if mac[-2:] != "AA" else "BB"), base64.urlsafe_b64encode(forged).decode().rstrip("=") + "." + mac, payload, "." + mac, "x" * 9000):
                self.assertEqual(ask("/v1/complete/" + claim)[0], 403)
            self.assertEqual(ask(path)[0], 404)  # valid claim, no object
            self.assertEqual(event(server, form)[0], 200)  # an event does not create an object
            post(other)
            self.assertEqual(ask(path + "?bucket=media&key=" + other["key"].replace(" ", "%20"))[0], 403)  # replayed for another upload's object
            put(self.s3, form, b"x" * 1_000_001)
            status, _, body = ask(path)
            self.assertEqual((status, json.loads(body)["code"]), (409, "conflict"))
            self.assertEqual(event(server, form)[0], 200)
            self.s3.request("PUT", form["key"], body=b"without the id")
            self.assertEqual(ask(path)[0], 409)
            self.assertEqual(server.status(form["id"])["state"], "issued")
            self.assertEqual(receiver.of(form["id"]), [])
            log = server.log_text()
            for reason in ("the claim's signature", "the claim names another key", "not in the store", "the policy allowed 0 to 1000000", "the object belongs to another upload"):
                self.assertIn(reason, log)

    def test_an_expired_claim_is_rejected(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver, expires="1s", sweep="1h"), sweep__claim_lifetime="2s") as server:
            form = server.sign()
            post(form)
            begin = time.monotonic()
            self.assertEqual(redirect(server, server.sign())[0], 404)  # a valid claim whose object is absent
            wait_until(lambda: time.monotonic() - begin > 3, "the claim's end", 5)
            self.assertEqual(redirect(server, form)[0], 403)
            self.assertIn("the claim has expired", server.log_text())
            self.assertEqual(server.status(form["id"])["state"], "issued")

    def test_an_unreachable_store_leaves_uploads_pending(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver, sweep="500ms"), store__timeout="1s") as server:
            by_redirect, by_event, completed = (server.sign() for _ in range(3))
            for f in (by_redirect, by_event, completed):
                post(f)
                wait_until(lambda: server.status(f["id"]), "the row of a signed form")
            self.assertEqual(event(server, completed)[0], 200)
            unknown = {"key": by_event["key"].replace(by_event["id"], "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4")}
            self.s3.kill()
            try:
                status, headers, body = redirect(server, by_redirect)
                self.assertEqual((status, json.loads(body)["state"]), (202, "pending"))
                self.assertIn("retry-after", headers)
                # 202: the ledger has scheduled a check for the sweep. 503: no check is scheduled, so the sender must retry the event.
                self.assertEqual(event(server, by_event)[0], 202)
                self.assertEqual(event(server, unknown)[0], 503)
                self.assertEqual(event(server, completed, "0" * 32)[0], 503)
                self.assertEqual(event(server, completed)[0], 200)  # the completion is known, so the store is not asked
            finally:
                self.s3.revive()
            self.s3.wait("the gateway", lambda: self.s3.request("GET", query="?max-keys=1"))
            receiver.wait_for([by_redirect["id"], by_event["id"]], "upload.completed")
            for f in (by_redirect, by_event):
                self.assertEqual((server.status(f["id"])["state"], server.status(f["id"])["completed_by"]), ("completed", "sweep"))
            self.assertEqual(event(server, unknown)[0], 200)  # the store has no such object

    def test_an_overwritten_object_is_announced_once(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver)) as server:
            form = server.sign()
            post(form)
            self.assertEqual(redirect(server, form)[0], 200)
            etag = server.status(form["id"])["etag"]
            post(form, b"other")  # a form can be posted more than once
            for _ in range(3):
                self.assertEqual(event(server, form, hashlib.md5(b"other").hexdigest())[0], 200)
            receiver.wait_for([form["id"]], "upload.overwritten", 20)
            wait_until(lambda: server.undelivered() == [], "all webhooks delivered")
            recorded = server.status(form["id"])
            self.assertEqual((recorded["state"], recorded["etag"]), ("completed", etag))  # the completion stays
            self.assertIn("overwritten_at", recorded)
            self.assertEqual(sorted(t for _, t in receiver.of(form["id"])), ["upload.completed", "upload.overwritten"])  # each sent once


if __name__ == "__main__":
    need_rgw()
    main()
