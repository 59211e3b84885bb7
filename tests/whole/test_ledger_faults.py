"""What the ledger guarantees when nodes are killed and the database is unavailable: an answered completion is never lost and never recorded twice, and its webhook arrives.

The short form kills each server 25 times and takes PostgreSQL away for 5 s. POSTERN_FULL=1 kills 200 times and takes it away for 20 s:

    POSTERN_FULL=1 /usr/bin/python3 tests/whole/test_ledger_faults.py build/postern
"""

import os, sqlite3, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from uploaders import *
import postgres

KILLS, AWAY = (200, 20) if FULL else (25, 5)


class Faults(unittest.TestCase):
    def end_leases(self):
        """Ends the leases of a killed node, which last a minute. The short form of the test does not wait for that."""
        if self.database:
            self.database.query("UPDATE postern.webhooks SET due_at = 0")
        else:
            with contextlib.closing(sqlite3.connect(self.file)) as db, db:
                db.execute("UPDATE webhooks SET due_at = 0")

    def check_all(self, server, receiver, taken):
        """Compares accepted uploads, objects and rows: they agree, and each completion has one message."""
        begin = time.monotonic()
        rows = check_all_recorded(self, server, taken, local_objects(server))
        if not FULL:
            self.end_leases()
        check_all_announced(self, server, receiver, rows)
        print(f"checked in {time.monotonic() - begin:.1f} s: {len(rows)} completed, {receiver.count()} deliveries", file=sys.stderr)
        return rows

    def check_repeated_kills(self, database=None):
        rng = seeded("kills")
        self.database = database
        # Forms expire after 15 minutes: so each answered completion must have been recorded with its answer.
        with tempfile.TemporaryDirectory() as folder, Receiver() as receiver:
            self.file = os.path.join(folder, "postern.db")
            server = Server(config(receiver), ledger__url=database.url() if database else "sqlite:" + self.file)
            try:
                begin, clients = time.monotonic(), Clients(server, 6)
                try:
                    for n in range(KILLS):
                        wanted = len(clients.taken) + rng.randrange(30)
                        wait_until(lambda: len(clients.taken) >= wanted or clients.errors, f"uploads before kill {n}", 60)
                        with clients.outage():
                            server.kill()
                            server.start()
                finally:
                    clients.end()
                print(f"\n{KILLS} kills, {'PostgreSQL' if database else 'SQLite'}, {time.monotonic() - begin:.1f} s: {len(clients.taken)} of {len(clients.signed)} uploads answered as completed", file=sys.stderr)
                self.assertEqual(set(clients.statuses), {204, 303})
                self.assertGreater(len(clients.taken), KILLS)
                clients.complete_the_rest()
                self.check_all(server, receiver, clients.taken)
            finally:
                server.close()

    def test_killed_with_sqlite(self):
        self.check_repeated_kills()

    def test_killed_with_postgresql(self):
        with postgres.Postgres() as database:
            self.check_repeated_kills(database)

    def test_postgresql_away_under_load(self):
        with postgres.Postgres() as database, Receiver() as receiver, Server(config(receiver, expires="15s"), ledger__url=database.url()) as server:
            clients = Clients(server, 4, asks=({},), pause=0.05)
            try:
                wait_until(lambda: len(clients.taken) > 50 or clients.errors, "uploads before the outage")
                database.stop()
                signed, taken, begin = len(clients.signed), len(clients.taken), time.monotonic()
                form = server.sign(success_action_status=204)
                status, headers, _ = server.post_form(form["fields"], b"x")  # this answer would say that the completion is recorded
                self.assertEqual(status, 503)
                self.assertIn("retry-after", headers)
                wait_until(lambda: server.admin("/readyz")[0] == 503, "/readyz says that the ledger is away", 10)
                self.assertEqual(server.metric("postern_ledger_up"), 0)
                form = server.sign()
                self.assertEqual(server.post_form(form["fields"], b"hello")[0], 303)  # the object exists; the node that receives the redirect records it
                status, headers, _ = server.request("GET", urlsplit(form["complete_url"]).path, headers={"Accept": "application/json"})
                self.assertEqual(status, 503)
                self.assertIn("retry-after", headers)
                wait_until(lambda: time.monotonic() - begin >= AWAY, "the outage", AWAY + 5)
                self.assertGreater(len(clients.signed), signed + 5, "signing goes on")
                self.assertGreater(len(clients.taken), taken + 5, "taking files goes on")
                during = len(clients.taken)
                database.start()
                wait_until(server.is_ready, "ready again", 30)
                wait_until(lambda: len(clients.taken) > during + 20 or clients.errors, "uploads after the outage")
            finally:
                clients.end()
            self.assertEqual(set(clients.statuses), {303})
            # No client asks again: the sweep settles each upload after its form has expired.
            objects = len(server.objects())
            if not FULL:  # the sweep does not check an upload within a minute of its last progress
                database.query("UPDATE postern.uploads SET ask_at = expires_at WHERE ask_at > expires_at")
            completed = lambda: int(database.query("SELECT count(*) FROM postern.uploads WHERE state = 'completed'")[0][0])
            wait_until(lambda: completed() == objects, "all objects settled by the sweep", 90)
            rows = {u["id"]: u for u in server.uploads("completed")}
            by = collections.Counter(u["completed_by"] for u in rows.values())
            print(f"\nPostgreSQL away for {AWAY} s: {len(clients.signed)} signed, {len(clients.taken)} taken, completed by {dict(by)}", file=sys.stderr)
            self.assertGreater(by["sweep"], 0)
            self.assertIn(rows[form["id"]]["completed_by"], ("sweep", "probe"))
            for id_, size in clients.taken.items():
                self.assertEqual(rows[id_]["size"], size)
            receiver.wait_for(rows, "upload.completed")
            for id_ in rows:
                self.assertEqual(receiver.messages(id_), ["upload.completed"], receiver.of(id_))


if __name__ == "__main__":
    if not postgres.is_installed():
        skip_all("PostgreSQL is not installed; tests/run installs it")
    main()
