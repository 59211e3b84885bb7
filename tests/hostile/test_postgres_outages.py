"""PostgreSQL restarts, fails over, is out of connections, or waits for a lock, while clients upload: each request is answered in time, what was answered is never lost, its webhook comes once, and Postern recovers without help.

The short form restarts PostgreSQL four times. POSTERN_FULL=1 restarts it 20 times:

    POSTERN_FULL=1 python3 tests/hostile/test_postgres_outages.py build/postern
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from uploaders import *
import postgres

RESTARTS = 20 if FULL else 4
HELD = 3  # seconds: less than the 6 s after which the ledger counts as unavailable
SOON = 30  # seconds; half of what a proxy waits. PostgreSQL's own timeouts are 8 s here
MANY = 40  # clients at once: more calls in one transaction than it can try alone while somebody holds a lock


class Outages(unittest.TestCase):
    def setUp(self):
        self.receiver = self.enterContext(Receiver())

    def enterContext(self, context):
        self.addCleanup(context.__exit__, None, None, None)
        return context.__enter__()

    def begin(self, database, url=None, count=4):
        """A server with that database, and clients that upload."""
        self.database = database
        self.server = self.enterContext(Server(config(self.receiver), ledger__url=url or database.url()))
        self.clients = Clients(self.server, count, asks=({}, {"success_action_status": 204}), pause=0.02, follows=True)
        self.addCleanup(self.clients.stop.set)
        self.clients.wait_for_more(20, "uploads before the outage")

    def check_away(self):
        """A request that must record something is refused; signing goes on."""
        wait_until(lambda: not self.server.is_ready(), "/readyz says that the ledger is away")
        self.assertEqual(self.server.metric("postern_ledger_up"), 0)
        wait_until(lambda: self.clients.statuses[503] or self.clients.errors, "a refused upload")

    def check_back(self):
        """Uploads succeed again, and nobody had to help."""
        wait_until(self.server.is_ready, "ready again", 30)
        self.clients.wait_for_more(20, "uploads after the outage")
        # Each connection for reading comes back by itself.
        wait_until(lambda: all(self.server.admin("/v1/uploads?limit=1")[0] == 200 for _ in range(20)), "reads after the outage")

    def check_end(self):
        """After everything: each answer came in time, and answers, rows, objects and messages agree."""
        self.clients.end()
        print(f"\n{self.id()}: {len(self.clients.signed)} signed, answers {dict(self.clients.statuses)}, the slowest after {self.clients.slowest:.1f} s", file=sys.stderr)
        self.assertLessEqual(set(self.clients.statuses), {200, 204, 503})
        self.assertLess(self.clients.slowest, SOON)
        self.clients.complete_the_rest()
        rows = check_all_recorded(self, self.server, self.clients.taken, local_objects(self.server))
        check_all_announced(self, self.server, self.receiver, rows)
        self.assertEqual(self.server.metric("postern_ledger_dropped_total"), 0)
        self.assertEqual(self.server.metric("postern_exceptions_total"), 0)

    def test_restarts_under_load(self):
        self.begin(self.enterContext(postgres.Postgres()))
        for n in range(RESTARTS):
            (self.database.kill if n % 2 else self.database.stop)()  # immediate; fast
            self.check_away()
            self.database.start()
            self.check_back()
        self.check_end()

    def test_a_failover_to_a_standby(self):
        first = self.enterContext(postgres.Postgres())
        first.url("uploads")
        second = self.enterContext(first.standby())
        self.begin(second, f"postgresql://postgres@127.0.0.1:{first.port},127.0.0.1:{second.port}/uploads")
        first.kill()
        self.check_away()
        second.promote()
        self.check_back()
        self.check_end()

    def test_a_standby_alone_takes_nothing(self):
        """The primary is gone and nobody is promoted: a standby answers, but cannot record."""
        first = self.enterContext(postgres.Postgres())
        first.url("uploads")
        second = self.enterContext(first.standby())
        first.stop()
        with Server(config(self.receiver), ledger__url=f"postgresql://postgres@127.0.0.1:{first.port},127.0.0.1:{second.port}/uploads") as server:
            form = server.sign(success_action_status=204)
            self.assertEqual(server.post_form(form["fields"], b"hello")[0], 503)
            self.assertEqual(server.admin("/readyz")[0], 503)
            second.promote()
            wait_until(server.is_ready, "the promoted standby is used", 30)
            self.assertEqual(server.post_form(form["fields"], b"hello")[0], 204)

    def take_all_connections(self):
        """Another client takes each place that is free, until there is none: the open sessions."""
        sessions = []
        with contextlib.suppress(RuntimeError):
            while len(sessions) < 100:
                sessions.append(self.enterContext(self.database.session("app", "theirs")))
        self.assertLess(len(sessions), 100, "there is no limit")
        return sessions

    def test_out_of_connections(self):
        database = self.enterContext(postgres.Postgres(max_connections=20))
        database.query("CREATE ROLE app LOGIN")
        database.query("CREATE DATABASE theirs OWNER app")
        self.begin(database, f"postgresql://app@127.0.0.1:{database.port}/theirs")
        # Who has a connection keeps it, so a full server alone changes nothing.
        sessions = self.take_all_connections()
        self.clients.wait_for_more(20, "uploads while the server is full")
        self.assertEqual(set(self.clients.statuses), {200, 204})
        # Postern's connections end, and others take their places.
        end, without = time.monotonic() + 30, 0
        while without < 2:  # once is not enough: a connection that begins is not seen yet
            self.assertLess(time.monotonic(), end, "Postern always gets its connection back")
            database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postern'")
            sessions += self.take_all_connections()
            time.sleep(0.5)
            without = without + 1 if database.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'postern'") == [] else 0
        self.check_away()
        wait_until(lambda: re.search("connection slots are reserved|too many clients", self.server.log_text()), "the reason in the log")
        for session in sessions:
            session.close()
        self.check_back()
        self.check_end()

    def hold(self, table, condition, what):
        """Another client holds a lock on the table in a transaction until the condition is true, while uploads go on. The condition is given the seconds since then."""
        self.begin(self.enterContext(postgres.Postgres()), count=MANY)
        with self.database.session() as other:
            other.run(f"BEGIN; LOCK TABLE postern.{table} IN ACCESS EXCLUSIVE MODE")
            since = time.monotonic()
            wait_until(lambda: condition(time.monotonic() - since), what, SOON)
        self.check_back()
        self.check_end()

    def check_locked_for_a_moment(self, table):
        self.hold(table, lambda seconds: seconds > HELD, "the time of the lock")

    def test_a_table_of_uploads_that_is_locked_for_a_moment(self):
        self.check_locked_for_a_moment("uploads")

    def test_a_table_of_webhooks_that_is_locked_for_a_moment(self):
        self.check_locked_for_a_moment("webhooks")

    def test_a_table_that_stays_locked(self):
        """All clients are answered although the lock stays; none waits for its end."""
        self.hold("uploads", lambda _: self.clients.statuses[503] >= MANY or self.clients.errors, "an answer for each client while the table is locked")

    def test_a_frozen_database(self):
        """It accepts connections and says nothing."""
        self.begin(self.enterContext(postgres.Postgres()))
        self.database.freeze()
        try:
            self.check_away()
        finally:
            self.database.freeze(False)
        self.check_back()
        self.check_end()


if __name__ == "__main__":
    if not postgres.is_installed():
        skip_all("PostgreSQL is not installed; tests/run installs it")
    main()
