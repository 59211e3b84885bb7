"""Another process holds SQLite's write lock: a backup that copies in a transaction, a tool that was left open. Each request is answered in time, what was answered is never lost, and Postern goes on when the lock is free."""

import os, sqlite3, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from uploaders import *

MANY = 30  # clients at once
SHORT = 2  # seconds: less than the 5 s that Postern waits for the lock
SOON = 20  # seconds; a third of what a proxy waits
ROUNDS = 5 if FULL else 1


class Locked(unittest.TestCase):
    @contextlib.contextmanager
    def serving(self):
        with Receiver() as receiver, Server(config(receiver)) as server:
            self.server, self.receiver, self.database = server, receiver, os.path.join(server.folder, "postern.db")
            self.clients = Clients(server, MANY, pause=0.02, follows=True)
            try:
                self.clients.wait_for_more(20, "uploads before the lock")
                yield server
            finally:
                self.clients.end()
            self.check_end()

    @contextlib.contextmanager
    def lock(self):
        with contextlib.closing(sqlite3.connect(self.database, timeout=60, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")

    def check_end(self):
        clients = self.clients
        print(f"\n{self.id()}: {len(clients.signed)} signed, answers {dict(clients.statuses)}, the slowest after {clients.slowest:.1f} s", file=sys.stderr)
        self.assertLess(clients.slowest, SOON)
        clients.complete_the_rest()
        rows = check_all_recorded(self, self.server, clients.taken, local_objects(self.server))
        check_all_announced(self, self.server, self.receiver, rows)
        self.assertEqual(self.server.metric("postern_ledger_dropped_total"), 0)

    def wait_for_back(self):
        wait_until(self.server.is_ready, "the ledger is used again", 30)
        self.clients.wait_for_more(20, "uploads after the lock")

    def test_a_lock_for_a_moment_delays_and_refuses_nothing(self):
        held = []
        with self.serving() as server:
            for _ in range(ROUNDS):
                begin = time.monotonic()
                with self.lock():
                    time.sleep(SHORT)  # how long the other process works
                held.append(time.monotonic() - begin)
                self.wait_for_back()
            if max(held) < 2 * SHORT:  # else this machine had no time for the test, and the lock stayed too long
                self.assertNotIn("ledger cannot be written", server.log_text())
                self.assertLessEqual(set(self.clients.statuses), {200, 204})

    def test_a_lock_that_stays_is_an_outage(self):
        with self.serving() as server:
            before = next(iter(self.clients.taken))
            for _ in range(ROUNDS):
                refused = self.clients.statuses[503]
                with self.lock():
                    wait_until(lambda refused=refused: self.clients.statuses[503] - refused >= 2 * MANY or self.clients.errors, "answers for all clients while the lock stays", SOON)
                    status, _, why = server.admin("/readyz")
                    self.assertEqual(status, 503)
                    self.assertIn("locked", why.decode())
                    form = server.sign()  # signing goes on; its row waits in memory
                    self.assertEqual(server.status(before)["state"], "completed")  # reading needs no lock
                    errors = [l for l in server.log_text().splitlines() if "level=error" in l and "ledger cannot be written" in l]
                    self.assertIn("database is locked", errors[-1])
                self.wait_for_back()
                self.assertEqual(server.status(form["id"])["state"], "issued")
        self.assertLessEqual(set(self.clients.statuses), {200, 204, 503})

    def test_a_restart_while_the_lock_stays(self):
        with Receiver() as receiver, Server(config(receiver)) as server:
            self.database = os.path.join(server.folder, "postern.db")
            before = server.sign(success_action_status=204)
            self.assertEqual(server.post_form(before["fields"], b"hello")[0], 204)
            with self.lock():
                server.kill()
                server.start()
                form = server.sign(success_action_status=204)
                begin = time.monotonic()
                self.assertEqual(server.post_form(form["fields"], b"hello")[0], 503)
                self.assertEqual(server.admin("/readyz")[0], 503)
                self.assertLess(time.monotonic() - begin, SOON)
                self.assertEqual(server.status(before["id"])["state"], "completed")
            wait_until(server.is_ready, "the ledger is used again", 30)
            self.assertEqual(server.post_form(form["fields"], b"hello")[0], 204)
            receiver.wait_for([form["id"]], "upload.completed")


if __name__ == "__main__":
    main()
