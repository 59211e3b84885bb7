"""kill -9 with S3: before, during and after each request to the store. What was answered is there after the restart; the sweep settles the rest; no object is truncated.

The short form kills the server 8 times in front of Ceph RGW. POSTERN_FULL=1 kills it 60 times and waits for the leases of killed nodes:

    POSTERN_FULL=1 python3 tests/hostile/test_kill_with_s3.py build/postern
"""

import os, sqlite3, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from uploaders import *
import postgres

SMALL, LARGE = 1000, 12 * MIB  # one PutObject; a multipart upload
KILLS = 60 if FULL else 8


class Killed(unittest.TestCase):
    def hurry(self, server, database):
        """The sweep waits a minute longer for an upload whose bytes have come, and a killed node's messages are leased for a minute. The short form does not wait for that."""
        if database:
            database.query("UPDATE postern.uploads SET ask_at = expires_at WHERE ask_at > expires_at; UPDATE postern.webhooks SET due_at = 0 WHERE due_at > 0")
        else:
            with contextlib.closing(sqlite3.connect(os.path.join(server.folder, "postern.db"), timeout=60)) as db, db:
                db.execute("UPDATE uploads SET ask_at = expires_at WHERE ask_at > expires_at")
                db.execute("UPDATE webhooks SET due_at = 0 WHERE due_at > 0")

    def wait_for_settled(self, server, wanted, database=None):
        """Waits until the sweep has settled the uploads: id to state."""
        def settled():
            if not FULL:
                self.hurry(server, database)
            return {id_: (server.status(id_) or {}).get("state") for id_ in wanted} == wanted
        wait_until(settled, f"settled: {wanted}", 120)

    def kill_while_held(self, operation, step, size, is_stored):
        """The store holds one request while the server is killed and restarted, and serves it after that."""
        with Receiver() as receiver, peer("holds", operation, step) as s3, s3_server(s3, config(receiver, expires="3s")) as server:
            form, data = server.sign(success_action_status=204), Pattern(size)
            client = threading.Thread(target=send_large, args=(server, form, data), daemon=True)
            client.start()
            self.assertTrue(s3.held.wait(30), f"{operation} was not sent")
            wait_until(lambda: server.status(form["id"]), "the row of the form")  # it is written behind
            server.kill()
            client.join(30)
            self.assertFalse(client.is_alive(), "the client still waits")
            server.start()
            self.assertNotEqual(server.status(form["id"])["state"], "completed")  # nobody has said so
            s3.release.set()
            if is_stored:
                self.assertTrue(s3.served.wait(30))
                self.assertEqual(s3.objects[form["key"]].sha256.hexdigest(), data.sha256())
            self.wait_for_settled(server, {form["id"]: "completed" if is_stored else "expired"})
            self.assertEqual(form["key"] in s3.objects, is_stored)
            message = "upload.completed" if is_stored else "upload.expired"
            receiver.wait_for([form["id"]], message)
            self.assertEqual(receiver.messages(form["id"]), [message])
            if is_stored:
                recorded = next(u for u in server.uploads() if u["id"] == form["id"])
                self.assertEqual((recorded["size"], recorded["completed_by"]), (size, "sweep"))

    def test_killed_before_the_multipart_upload_exists(self):
        self.kill_while_held("CreateMultipartUpload", "before", LARGE, False)

    def test_killed_during_a_part(self):
        self.kill_while_held("UploadPart", "before", LARGE, False)

    def test_killed_after_complete_was_sent(self):
        self.kill_while_held("CompleteMultipartUpload", "before", LARGE, True)

    def test_killed_after_the_multipart_upload_was_completed(self):
        self.kill_while_held("CompleteMultipartUpload", "after", LARGE, True)

    def test_killed_after_put_was_sent(self):
        self.kill_while_held("PutObject", "before", SMALL, True)

    def test_killed_after_the_object_was_stored(self):
        self.kill_while_held("PutObject", "after", SMALL, True)

    def kill_at_random(self, **settings):
        rng, database = seeded("kills"), settings.pop("database", None)
        with Rgw() as s3, Receiver() as receiver, s3_server(s3, config(receiver, expires="20s" if FULL else "8s"), **settings) as server:
            clients = Clients(server, 4, bucket="media", max_size=12 * MIB, follows=True)
            try:
                for n in range(KILLS):
                    clients.wait_for_more(rng.randrange(1, 6), f"uploads before kill {n}")
                    time.sleep(rng.uniform(0, 0.2))  # the moment of the kill is random
                    with clients.outage():
                        server.kill()
                        server.start()
            finally:
                clients.end()
            self.assertLessEqual(set(clients.statuses), {200, 204})
            sizes = lambda: {key: int(s3.head(key)["content-length"]) for key in s3.keys()}
            stored = sizes()
            print(f"\n{KILLS} kills: {len(clients.signed)} signed, {len(clients.taken)} answered as completed, {len(stored)} objects, {s3.multiparts()} multipart uploads left", file=sys.stderr)
            known = {id_ for id_ in clients.signed if server.status(id_)}
            self.assertEqual(set(clients.taken) - known, set(), "an answered upload has no row")
            for id_ in set(clients.signed) - known:  # killed within the 20 ms before the row of a new form is written: its redirect makes the row
                server.request("GET", urlsplit(clients.signed[id_]["complete_url"]).path, headers={"Accept": "application/json"})
            wanted = {id_: "completed" if form["key"] in stored else "expired" for id_, form in clients.signed.items() if server.status(id_)}
            self.wait_for_settled(server, wanted, database)
            rows = check_all_recorded(self, server, clients.taken, sizes())
            receiver.wait_for(rows, "upload.completed", 120)
            for id_ in rows:
                self.assertEqual(receiver.messages(id_), ["upload.completed"], receiver.of(id_))

    @unittest.skipUnless(rgw.is_installed(), "Ceph RGW is not installed; tests/run installs it")
    def test_killed_at_random_moments_in_front_of_rgw(self):
        self.kill_at_random()

    @unittest.skipUnless(rgw.is_installed() and postgres.is_installed(), "Ceph RGW or PostgreSQL is not installed; tests/run installs them")
    def test_killed_at_random_moments_in_front_of_rgw_with_postgresql(self):
        with postgres.Postgres() as database:
            self.kill_at_random(database=database, ledger__url=database.url())


if __name__ == "__main__":
    main()
