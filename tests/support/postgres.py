"""A real PostgreSQL for the tests: a cluster in its own folder, on a free port, run by the user postgres when the tests run as root.

    with Postgres() as db:
        db.url()                     what ledger.url may be; url("name") for another database, which is made
        db.stop(), db.start()        its sessions end first
        db.kill(), db.start()        as if it had crashed
        db.freeze(), db.freeze(False)   it and all its sessions stand still, and go on
        db.query("SELECT 1")         rows as lists of texts
    db.session()                 a connection of another client, which stays open: it holds a lock, or a place
    db.standby()                 a second server that follows this one; promote() makes it the primary

python3 tests/support/postgres.py [--fsync] runs one until Ctrl-C and prints its URL.
"""

import contextlib, glob, os, pwd, shutil, signal, socket, struct, subprocess, sys, tempfile, time
from ports import free_port
import watchdog


def programs():
    """The folder with the programs of the newest installed version, or None."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    return os.path.dirname(max(found, key=lambda p: int(p.split("/")[4]))) if found else None


def is_installed():
    return programs() is not None


class Session:
    """A connection of another client, in PostgreSQL's own protocol, without a process of its own."""

    def __init__(self, port, user, database):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        begin = f"user\0{user}\0database\0{database}\0\0".encode()
        self.socket.sendall(struct.pack("!ii", 8 + len(begin), 196608) + begin)
        self.answers = self.socket.makefile("rb")
        self.wait()

    def wait(self):
        """Reads until the server is ready for the next query. Raises its error, or the end of the connection."""
        failed = None
        while (kind := self.answers.read(1)) != b"Z":
            if not kind:
                raise RuntimeError(failed or "the server closed the connection")
            body = self.answers.read(struct.unpack("!i", self.answers.read(4))[0] - 4)
            failed = body.replace(b"\0", b" ").decode(errors="replace") if kind == b"E" else failed
        self.answers.read(5)
        if failed:
            raise RuntimeError(failed)

    def run(self, text):
        self.socket.sendall(b"Q" + struct.pack("!i", 5 + len(text)) + text.encode() + b"\0")
        self.wait()

    def close(self):
        self.answers.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Postgres:
    def __init__(self, fsync=False, **settings):
        """Without `fsync`, a crash of the server loses nothing (a crash of the machine would), and tests are quick. `settings` are those of postgresql.conf."""
        self.settings = {"fsync": "on" if fsync else "off", **settings}
        self.folder = tempfile.mkdtemp(prefix="postern-pg-")
        watchdog.watch_folder(self.folder)
        self.port, self.process, self.databases = free_port(), None, {"postgres"}
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)

    # --- life -----------------------------------------------------------------------------------

    def __enter__(self):
        try:
            self.tool("initdb", "-D", self.path("data"), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([self.program("postgres"), "-D", self.path("data"), "-k", self.folder, "-h", "127.0.0.1", "-p", str(self.port), *settings],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, **self.as_user())
        watchdog.watch(self.process.pid, "QUIT")
        end = time.monotonic() + 60
        while subprocess.run([self.program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("PostgreSQL does not start: " + open(os.path.join(self.folder, "log"), errors="replace").read()[-2000:])
            time.sleep(0.02)

    def stop(self):
        self.end(signal.SIGINT)

    def kill(self):
        self.end(signal.SIGQUIT)

    def freeze(self, yes=True):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):  # a session that ended meanwhile
                os.kill(pid, signal.SIGSTOP if yes else signal.SIGCONT)

    def close(self):
        if self.process:
            self.freeze(False)
            self.end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what tests ask of it ---------------------------------------------------------------------

    def url(self, database="postgres"):
        if database not in self.databases:
            self.query(f"CREATE DATABASE {database}")
            self.databases.add(database)
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def query(self, text, database="postgres"):
        return [line.split("\t") for line in self.tool("psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", self.url(database), "-c", text).splitlines()]

    def session(self, user="postgres", database="postgres"):
        return Session(self.port, user, database)

    @contextlib.contextmanager
    def standby(self):
        """A second server with the data of this one, which follows it. From now on this one waits with each commit until the standby has it too."""
        other = Postgres()
        try:
            other.tool("pg_basebackup", "-D", other.path("data"), "-R", "-c", "fast", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
            other.start()
            other.databases |= self.databases
            self.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.query("SELECT pg_reload_conf()")
            end = time.monotonic() + 60
            while self.query("SELECT sync_state FROM pg_stat_replication") != [["sync"]]:
                if time.monotonic() > end:
                    raise RuntimeError("the standby does not follow")
                time.sleep(0.02)
            yield other
        finally:
            other.close()

    def promote(self):
        assert self.query("SELECT pg_promote()") == [["t"]]

    # --- processes --------------------------------------------------------------------------------

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def program(self, name):
        return os.path.join(programs(), name)

    def as_user(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}

    def tool(self, name, *arguments):
        done = subprocess.run([self.program(name), *arguments], capture_output=True, text=True, timeout=120, cwd="/", check=False, **self.as_user())
        if done.returncode:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def pids(self):
        """The ids of the server's process and of its sessions, which are its children."""
        if not self.process or self.process.poll() is not None:
            return []
        pids = [self.process.pid]
        for stat in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(stat) as f:
                    pid, rest = f.read().split(" ", 1)
            except OSError:
                continue
            if int(rest.rsplit(")", 1)[1].split()[1]) == self.process.pid:
                pids.append(int(pid))
        return pids

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(60)
        self.process = None


if __name__ == "__main__":
    with Postgres(fsync="--fsync" in sys.argv) as db:
        print(db.url(), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
