"""A disk that is full: of objects, or under the SQLite ledger. What does not fit gets a clear error and leaves nothing, what was answered is there, and after somebody has made room all goes on without a restart.

The short form fills the ledger's disk twice. POSTERN_FULL=1 fills it 20 times."""

import ctypes, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from uploaders import *

MIB = 1 << 20
OBJECT = 300_000  # bytes of one file: the small disk takes some twenty of them
SMALL_DISK = 8 * MIB
LEDGER_DISK = 32 * MIB  # SQLite's log alone takes 4 MiB before it is written into the database
ROUNDS = 20 if FULL else 2
NEWNS = 0x20000  # CLONE_NEWNS of unshare(2)


def own_mounts():
    """From here on this process and its children have mounts of their own, which end with them. Why not, else."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if ctypes.CDLL(None, use_errno=True).unshare(NEWNS):
        return "unshare: " + os.strerror(ctypes.get_errno())
    for command in (["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tempfile.gettempdir()], ["umount", tempfile.gettempdir()]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{' '.join(command)}: {done.stderr.strip()}"
    return None


class SmallDisk:
    """A file system of its own at `path`."""

    def __init__(self, path, size):
        self.path, self.filler = path, os.path.join(path, "filler")
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)

    def fill(self):
        """Another program takes all room that is left."""
        with contextlib.suppress(OSError), open(self.filler, "ab", buffering=0) as f:
            while True:
                f.write(bytes(4096))

    def make_room(self):
        os.remove(self.filler)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.path], check=True)


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="postern-test-")
        watchdog.watch_folder(self.folder)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def serving(self, size, **settings):
        """A server with webhooks, and a small disk at its folder "small"."""
        with SmallDisk(os.path.join(self.folder, "small"), size) as disk, Receiver() as receiver, Server(config(receiver), **settings) as server:
            yield disk, receiver, server

    def small(self, name):
        return os.path.join(self.folder, "small", name)

    def check_whole(self, server, taken):
        """Each visible object is one that was answered, and whole; the form's other files are gone."""
        objects = local_objects(server)
        self.assertEqual(set(objects.values()) - {OBJECT}, set(), "a truncated object")
        rows = check_all_recorded(self, server, {id_: OBJECT for id_ in taken}, objects)
        self.assertEqual(set(rows), set(taken))
        self.assertEqual(server.leftovers(), [])

    def upload(self, server, data):
        form = server.sign(success_action_status=204)
        status, headers, body = server.post_form(form["fields"], data)
        if status != 204:
            self.assertEqual((status, s3_code(body)), (503, "ServiceUnavailable"), body)
            self.assertIn("retry-after", headers)
        return form, status

    def test_a_full_disk_of_objects(self):
        data = random_bytes(OBJECT)
        with self.serving(SMALL_DISK, store__path=self.small("objects")) as (disk, receiver, server):
            def uploads(_):
                return [self.upload(server, data) for _ in range(10)]

            answers = [a for share in in_threads(uploads, range(6)) for a in share]  # 60 files, of which some 27 fit
            taken = {form["id"]: form for form, status in answers if status == 204}
            refused = {form["id"]: form for form, status in answers if status != 204}
            self.assertGreater(len(taken), 10)
            self.assertGreater(len(refused), 10)
            self.check_whole(server, taken)
            for form in list(taken.values())[:3]:
                with open(server.object_path(form["key"]), "rb") as f:
                    self.assertTrue(f.read() == data)
            ended = [l for l in server.log_text().splitlines() if 'event="request failed"' in l and "No space left on device" in l]
            self.assertGreater(len(ended), 0, "the log does not say why")

            # Not even a directory fits; and still nothing hangs.
            disk.fill()
            self.assertEqual(self.upload(server, b"x" * 5000)[1], 503)
            disk.make_room()

            # Somebody deletes half of the objects: the same forms are taken now.
            for form in list(taken.values())[:len(taken) // 2]:
                os.remove(server.object_path(form["key"]))
                del taken[form["id"]]
            again = list(refused.values())[:len(taken) // 2]
            for form in again:
                self.assertEqual(server.post_form(form["fields"], data)[0], 204)
                self.assertEqual(server.status(form["id"])["state"], "completed")
            for form in [*taken.values(), *again]:
                self.assertEqual(os.path.getsize(server.object_path(form["key"])), OBJECT)
            self.assertEqual(server.leftovers(), [])
            told = [a["id"] for a in server.uploads("completed")]
            receiver.wait_for(told, "upload.completed")
            for form in again:
                self.assertEqual(receiver.messages(form["id"]), ["upload.completed"])
            self.assertEqual(server.metric("postern_exceptions_total"), 0)

    def test_a_full_disk_under_the_ledger(self):
        with self.serving(LEDGER_DISK, ledger__url="sqlite:" + self.small("postern.db")) as (disk, receiver, server):
            clients = Clients(server, 4, pause=0.01, follows=True)
            try:
                clients.wait_for_more(20, "uploads before the disk is full")
                for _ in range(ROUNDS):
                    disk.fill()
                    wait_until(lambda: server.metric("postern_ledger_up") == 0 or clients.errors, "the ledger cannot be written")
                    self.assertEqual(server.admin("/readyz")[0], 503)
                    refused = clients.statuses[503]
                    wait_until(lambda refused=refused: clients.statuses[503] > refused + 10 or clients.errors, "refused uploads")
                    form = server.sign()  # signing goes on
                    self.assertRegex(server.log_text(), 'event="ledger cannot be written" why=".*(disk is full|disk I/O error)')
                    disk.make_room()
                    wait_until(server.is_ready, "the ledger is used again", 30)
                    clients.wait_for_more(20, "uploads after somebody made room")
                    self.assertEqual(server.status(form["id"])["state"], "issued")  # the row that had waited in memory
            finally:
                clients.end()
            self.assertLessEqual(set(clients.statuses), {200, 204, 503})
            clients.complete_the_rest()
            rows = check_all_recorded(self, server, clients.taken, local_objects(server))
            check_all_announced(self, server, receiver, rows)
            self.assertEqual(server.metric("postern_ledger_dropped_total"), 0)
            for end in (server.kill, server.stop):  # what was recorded is readable after a crash, and a full disk does not hold up the end
                disk.fill()
                server.sign()  # its row waits in memory, and is lost
                end()
                disk.make_room()
                server.start()
                check_all_recorded(self, server, clients.taken, local_objects(server))


if __name__ == "__main__":
    if reason := own_mounts():
        skip_all("no file system of its own can be mounted: " + reason)
    main()
