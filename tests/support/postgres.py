"""A real PostgreSQL for the tests: a cluster in its own folder, on a free port, run by the user postgres when the tests run as root.

    with Postgres() as db:
        db.url()                     what ledger.url may be; url("name") for another database, which is made
        db.stop(), db.start()        its sessions end first
        db.kill(), db.start()        as if it had crashed
        db.freeze(), db.freeze(False)   it and all its sessions stand still, and go on
        db.query("SELECT 1")         rows as lists of texts

python3 tests/support/postgres.py [--fsync] runs one until Ctrl-C and prints its URL.
"""

import contextlib, glob, os, pwd, shutil, signal, socket, subprocess, sys, tempfile, time
import watchdog


def programs():
    """The folder with the programs of the newest installed version, or None."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    return os.path.dirname(max(found, key=lambda p: int(p.split("/")[4]))) if found else None


def is_installed():
    return programs() is not None


class Postgres:
    def __init__(self, fsync=False):
        """Without `fsync`, a crash of the server loses nothing (a crash of the machine would), and tests are quick."""
        self.fsync = fsync
        self.folder = tempfile.mkdtemp(prefix="postern-pg-")
        watchdog.watch_folder(self.folder)
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        self.process, self.databases = None, {"postgres"}
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
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([self.program("postgres"), "-D", self.path("data"), "-k", self.folder, "-h", "127.0.0.1", "-p", str(self.port), "-c", f"fsync={'on' if self.fsync else 'off'}"],
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
