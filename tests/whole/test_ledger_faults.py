"""What the ledger promises when nodes are killed and the database goes: an answered completion is never lost and never doubled, and its message arrives."""

import os, random, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
from receiver import Receiver
import postgres


def config(receiver):
    return f'[auth]\nanonymous = true\n[sweep]\ninterval = "1s"\n[[webhooks]]\nurl = "{receiver.url}"\nsecret = "{"s" * 32}"\nallow_private = true\n[limits]\nsign_rate = 0\nconnections_per_address = 0\n'


class Uploads:
    """Clients that sign and upload without pause, and remember what they were answered."""

    def __init__(self, server, clients):
        self.server, self.stop, self.lock = server, threading.Event(), threading.Lock()
        self.signed, self.completed, self.statuses = [], {}, {}
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]
        [t.start() for t in self.threads]

    def run(self):
        while not self.stop.is_set():
            try:
                form = self.server.sign()
                with self.lock:
                    self.signed.append(form["id"])
                status, _, _ = self.server.post_form(form["fields"], b"x" * random.randrange(2000))
                with self.lock:
                    self.statuses[status] = self.statuses.get(status, 0) + 1
                    if status == 303:
                        self.completed[form["id"]] = form
            except (OSError, http.client.HTTPException, AssertionError, ValueError, TypeError, AttributeError):
                time.sleep(0.02)  # nobody is there just now

    def end(self):
        self.stop.set()
        [t.join() for t in self.threads]


class Faults(unittest.TestCase):
    def killed_again_and_again(self, ledger, kills):
        with tempfile.TemporaryDirectory() as folder, Receiver() as receiver:
            server = Server(config(receiver), ledger__url=ledger or "sqlite:" + os.path.join(folder, "postern.db"), server__secrets="a secret that survives")
            uploads = Uploads(server, 6)
            try:
                for _ in range(kills):
                    time.sleep(random.random() * 0.25)
                    server.process.kill()
                    server.process.wait()
                    server.log.close()
                    server.start()
            finally:
                uploads.end()
            try:
                self.assertGreater(len(uploads.completed), kills)
                for id_ in uploads.completed:
                    self.assertEqual(server.status(id_)["state"], "completed")
                self.assertEqual(receiver.wait_for(uploads.completed, "upload.completed", 120), set())
                rows = [json.loads(l) for l in server.admin("/v1/uploads?state=completed&limit=9999")[2].splitlines()]
                ids = [r["id"] for r in rows]
                self.assertEqual(len(ids), len(set(ids)))
                for id_ in uploads.completed:
                    told = receiver.of(id_)
                    self.assertEqual(len({i for i, t in told if t == "upload.completed"}), 1, told)  # however often it was sent, it is one message
                print(f"\n{kills} kills, {'PostgreSQL' if ledger else 'SQLite'}: {len(uploads.completed)} completions answered, {len(ids)} recorded, {len(receiver.messages)} deliveries", file=sys.stderr)
            finally:
                self.assertEqual(server.stop(), 0)

    def test_killed_200_times_with_sqlite(self):
        self.killed_again_and_again(None, 30 if is_sanitized() else 200)

    def test_killed_200_times_with_postgresql(self):
        with postgres.Postgres() as database:
            self.killed_again_and_again(database.url(), 30 if is_sanitized() else 200)

    def test_postgresql_away_for_20_seconds_under_load(self):
        away = 5 if is_sanitized() else 20
        with postgres.Postgres() as database, Receiver() as receiver, Server(config(receiver), ledger__url=database.url()) as server:
            uploads = Uploads(server, 4)
            try:
                time.sleep(2)
                before = len(uploads.completed)
                self.assertGreater(before, 10)
                database.stop()
                signed, begin = len(uploads.signed), time.monotonic()
                time.sleep(away / 2)
                self.assertGreater(len(uploads.signed), signed + 5)  # signing goes on
                status, headers, _ = server.post_form(server.sign(success_action_status=204)["fields"], b"x")
                self.assertEqual(status, 503)
                self.assertIn("retry-after", headers)
                self.assertEqual(server.admin("/readyz")[0], 503)
                form = server.sign()
                self.assertEqual(server.post_form(form["fields"], b"hello")[0], 303)  # the object is there; the redirect leads to whoever will record it
                status, headers, _ = server.request("GET", urlsplit(form["complete_url"]).path, headers={"Accept": "application/json"})
                self.assertEqual(status, 503)
                self.assertIn("retry-after", headers)
                time.sleep(max(0, away - (time.monotonic() - begin)))
                database.start()
                end = time.monotonic() + 30
                while server.admin("/readyz")[0] != 200 and time.monotonic() < end:
                    time.sleep(0.2)
                self.assertEqual(server.admin("/readyz")[0], 200)
                time.sleep(1)
            finally:
                uploads.end()
            self.assertGreater(len(uploads.completed), before + 10)
            # Every upload whose object was taken is settled: by its redirect, asked again, or by the sweep at the latest.
            for id_, one in list(uploads.completed.items()):
                if server.status(id_)["state"] != "completed":
                    server.request("GET", urlsplit(one["complete_url"]).path, headers={"Accept": "application/json"})
                self.assertEqual(server.status(id_)["state"], "completed")
            self.assertEqual(receiver.wait_for(uploads.completed, "upload.completed", 60), set())
            print(f"\nPostgreSQL away for {away} s: {len(uploads.signed)} signed, {len(uploads.completed)} completed, answers {uploads.statuses}", file=sys.stderr)


if __name__ == "__main__":
    if not postgres.is_installed():
        print("PostgreSQL is not installed; tests/run installs it")
        sys.exit(77)
    main()
