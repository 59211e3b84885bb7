"""The ledger says what is true: whichever evidence comes, in whatever order and however often, one object is one completion and one message."""

import os, random, sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from receiver import Receiver
import postgres

TOKEN = "a token for the events of tests"
SECRET = "whsec_" + base64.b64encode(b"a secret for the webhooks of tests").decode()


def config(receiver, expires="20s", sweep="1s", grace="0s"):
    return (f'[auth]\nanonymous = true\n[profiles.default]\nexpires = "{expires}"\nmax_size = "1MB"\n[events]\ntoken = "{TOKEN}"\n[sweep]\ninterval = "{sweep}"\ngrace = "{grace}"\n'
            f'[[webhooks]]\nurl = "{receiver.url}"\nsecret = "{SECRET}"\nallow_private = true\n')


def put(s3, form, body=b"hello", **metadata):
    """The object as S3 has it after the form was posted there."""
    s3.request("PUT", form["key"], body=body, headers={"x-amz-meta-postern-id": form["id"], **metadata})


def event(server, form, etag=""):
    records = [{"eventVersion": "2.2", "eventSource": "ceph:s3", "eventName": "ObjectCreated:Post", "s3": {"bucket": {"name": "media"}, "object": {"key": form["key"], "size": 5, "eTag": etag}}}]
    return server.request("POST", "/v1/events", json.dumps({"Records": records}).encode(), {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN})


def redirect(server, form):
    path = urlsplit(form["complete_url"]).path
    return server.request("GET", path + "?bucket=media&key=" + form["key"].replace(" ", "%20"), headers={"Accept": "application/json"})


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

    def all_at_once(self, ledger, count):
        with Receiver() as receiver:
            nodes = self.nodes(receiver, ledger, expires="4s")  # so that the sweep is at work while the rest comes
            with nodes[0], nodes[1], ThreadPoolExecutor(16) as pool:
                def uploaded(n):
                    form = nodes[n % 2].sign()
                    put(self.s3, form)
                    return form

                forms = list(pool.map(uploaded, range(count)))
                evidence = [(redirect, f) for f in forms for _ in range(2)] + [(event, f) for f in forms for _ in range(3)]
                random.shuffle(evidence)
                answers = list(pool.map(lambda e: e[0](random.choice(nodes), e[1])[0], evidence))
                self.assertEqual(set(answers), {200})
                self.assertEqual(receiver.wait_for([f["id"] for f in forms], "upload.completed"), set())
                time.sleep(3)  # whatever would come twice comes now, the sweep too
                known = {}
                for f in forms:
                    told = nodes[0].status(f["id"])
                    self.assertEqual((told["state"], told["size"]), ("completed", 5))
                    self.assertNotIn("overwritten_at", told)
                    self.assertEqual(len(receiver.of(f["id"])), 1)
                    known[told["completed_by"]] = known.get(told["completed_by"], 0) + 1
                print(f"\n{count} objects, two nodes, {ledger.split(':')[0]}: known by {known}", file=sys.stderr)
                self.assertEqual(sum(1 for _, t, _ in receiver.messages if t != "upload.completed"), 0)

    def test_all_evidence_at_once_on_two_nodes_with_postgresql(self):
        with postgres.Postgres() as database:
            self.all_at_once(database.url(), 100 if is_sanitized() else 1000)

    def test_all_evidence_at_once_on_two_nodes_with_sqlite(self):
        with tempfile.TemporaryDirectory() as folder:
            self.all_at_once("sqlite:" + os.path.join(folder, "shared.db"), 100 if is_sanitized() else 1000)

    def test_the_browser_is_gone_after_its_last_byte(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver, expires="3s", sweep="500ms")) as server:
            by_event, by_sweep, by_nobody, replaced = (server.sign() for _ in range(4))
            for f in (by_event, by_sweep):
                put(self.s3, f)
            put(self.s3, replaced, b"x" * 2_000_000)  # more than the policy allows
            self.assertEqual(event(server, by_event)[0], 200)
            self.assertEqual(server.status(by_event["id"])["completed_by"], "event")
            self.assertEqual(receiver.wait_for([by_event["id"], by_sweep["id"]], "upload.completed", 30), set())
            self.assertEqual(server.status(by_sweep["id"])["completed_by"], "sweep")
            # Neither object nor event; and an object that no form of ours would have allowed.
            self.assertEqual(receiver.wait_for([by_nobody["id"], replaced["id"]], "upload.expired", 30), set())
            for f in (by_nobody, replaced):
                self.assertEqual(server.status(f["id"])["state"], "expired")
                self.assertEqual(len(receiver.of(f["id"])), 1)
            self.assertIn("not what the policy allowed", server.log_text())
            # The truth comes late, and is told all the same.
            put(self.s3, by_nobody)
            self.assertEqual(event(server, by_nobody)[0], 200)
            self.assertEqual(receiver.wait_for([by_nobody["id"]], "upload.completed", 30), set())
            self.assertEqual(server.status(by_nobody["id"])["state"], "completed")

    def test_what_is_not_proved_is_not_completed(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver)) as server:
            form, other = server.sign(), server.sign()
            path = urlsplit(form["complete_url"]).path
            ask = lambda p: server.request("GET", p, headers={"Accept": "application/json"})
            payload, _, mac = path.rsplit("/", 1)[1].partition(".")
            forged = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).replace(form["id"].encode(), other["id"].encode())
            for claim in (payload + "." + mac[:-2] + ("AA" if mac[-2:] != "AA" else "BB"), base64.urlsafe_b64encode(forged).decode().rstrip("=") + "." + mac, payload, "." + mac, "x" * 9000):
                self.assertEqual(ask("/v1/complete/" + claim)[0], 403)
            self.assertEqual(ask(path)[0], 404)  # right claim, no object
            self.assertEqual(event(server, form)[0], 200)  # nor does an event make one
            put(self.s3, other)
            self.assertEqual(ask(path + "?bucket=media&key=" + other["key"].replace(" ", "%20"))[0], 403)  # replayed for another's object
            put(self.s3, form, b"x" * 1_000_001)
            status, _, body = ask(path)
            self.assertEqual((status, json.loads(body)["code"]), (409, "conflict"))
            self.assertEqual(event(server, form)[0], 200)
            self.s3.request("PUT", form["key"], body=b"without the id")
            self.assertEqual(ask(path)[0], 409)
            self.assertEqual(server.status(form["id"])["state"], "issued")
            self.assertEqual(receiver.of(form["id"]), set())
            log = server.log_text()
            for reason in ("the claim's signature", "the claim names another key", "not in the store", "not what the policy allowed", "made by another upload"):
                self.assertIn(reason, log)

    def test_an_expired_claim(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver, expires="1s", sweep="1h"), sweep__claim_lifetime="2s") as server:
            form = server.sign()
            put(self.s3, form)
            time.sleep(3)
            self.assertEqual(redirect(server, form)[0], 403)
            self.assertIn("the claim's age", server.log_text())
            self.assertEqual(server.status(form["id"])["state"], "issued")

    def test_a_store_that_cannot_be_asked(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver, sweep="500ms"), store__timeout="1s") as server:
            form, other = server.sign(), server.sign()
            put(self.s3, form)
            put(self.s3, other)
            self.s3.kill()
            try:
                status, headers, body = redirect(server, form)
                self.assertEqual((status, json.loads(body)["state"]), (202, "pending"))
                self.assertIn("retry-after", headers)
                self.assertIn(event(server, other)[0], (202, 503))
            finally:
                self.s3.revive()
            self.s3.wait("the gateway", lambda: self.s3.request("GET", query="?max-keys=1"))
            self.assertEqual(receiver.wait_for([form["id"]], "upload.completed"), set())  # the kept claim is asked again
            self.assertEqual(server.status(form["id"])["state"], "completed")

    def test_an_object_that_is_overwritten(self):
        with Receiver() as receiver, s3_server(self.s3, config(receiver)) as server:
            form = server.sign()
            put(self.s3, form)
            self.assertEqual(redirect(server, form)[0], 200)
            etag = server.status(form["id"])["etag"]
            put(self.s3, form, b"other")
            for _ in range(3):
                self.assertEqual(event(server, form, hashlib.md5(b"other").hexdigest())[0], 200)
            self.assertEqual(receiver.wait_for([form["id"]], "upload.overwritten", 20), set())
            time.sleep(2)
            told = server.status(form["id"])
            self.assertEqual((told["state"], told["etag"]), ("completed", etag))  # the completion stays
            self.assertIn("overwritten_at", told)
            self.assertEqual(sorted(t for _, t in receiver.of(form["id"])), ["upload.completed", "upload.overwritten"])


if __name__ == "__main__":
    need_rgw()
    main()
