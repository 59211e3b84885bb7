"""Each way to each store with files of each size, sent by curl and compared by hash and by the ledger. The browser's rows are in tests/e2e.

POSTERN_FULL=1 adds larger files, and one of 6 GiB to an S3 that stores on disk. The table is printed; with RESULTS_TABLE it is added to that file.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
import swift
from ways import Parts, curl, way_of

CONFIG = "[auth]\nanonymous = true\n[limits]\nsign_rate = 0\nstatus_rate = 0\n[sweep]\nprobe = false\n[profiles.default]\nmax_size = '10GiB'\n"
SIZES = [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 120 * MIB] if FULL else [0, 1, 5 * MIB + 1]
HUGE = 6 << 30
WAYS = ["form", "put", "multipart", "fallback"]


def shown(size):
    if size < 2:
        return f"{size} B"
    mib, rest = divmod(size + 1, MIB)
    return f"{mib} MiB" + {0: " − 1", 1: "", 2: " + 1"}[rest]


class File(Pattern):
    """A file of a pattern, for curl."""

    def __init__(self, size, folder):
        super().__init__(size)
        self.path = os.path.join(folder, str(size))
        with open(self.path, "wb") as f:
            for piece in self:
                f.write(piece)

    def piece(self, begin, length):
        with open(self.path, "rb") as f:
            f.seek(begin)
            return f.read(length)


def send(server, form, way, file):
    """Sends the file by that way, and returns the upload as the server answers it."""
    if way in ("form", "fallback"):
        status, _, body = curl_form(form["url" if way == "form" else "fallback_url"], form["fields"], file.path, follow=True)
    elif way == "put":
        put = way_of(form, "put")
        status, _, body = curl("PUT", put["url"], put["headers"], file.path)
        assert status == 200, body
        status, _, body = server.request("GET", urlsplit(form["complete_url"]).path, headers={"Accept": "application/json"})
    else:
        parts = Parts(server, form)
        parts.send_pieces(file.size, file.piece)
        status, answer = parts.complete()
        return status, answer
    return status, json.loads(body)


class Matrix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = {}  # (store, way): {size: what came of it}

    @classmethod
    def tearDownClass(cls):
        lines = [f"{'curl: store, way':24}" + "".join(f"{shown(size):>14}" for size in SIZES)]
        lines += [f"{store + ', ' + way:24}" + "".join(f"{cells.get(size, '–'):>14}" for size in SIZES) for (store, way), cells in cls.rows.items() if "6 GiB" not in cells]
        lines += [f"{store + ', ' + way:24}{cells['6 GiB']:>14} (6 GiB)" for (store, way), cells in cls.rows.items() if "6 GiB" in cells]
        print("", *lines, sep="\n", flush=True)
        if path := os.environ.get("RESULTS_TABLE"):
            with open(path, "a", encoding="utf-8") as f:
                f.write("\n".join(lines) + "\n")

    def fill(self, store, server, hash_of, folder, offered):
        for size in SIZES:
            file = File(size, folder)
            for way in WAYS:
                cells = self.rows.setdefault((store, way), {})
                form = server.sign(size=size, ways=[way])
                if way not in offered:
                    self.assertEqual(form["ways"], [])
                    cells[size] = "not offered"
                    continue
                self.check(server, form, way, file, hash_of)
                cells[size] = "equal"
            os.unlink(file.path)

    def check(self, server, form, way, file, hash_of):
        status, answer = send(server, form, way, file)
        self.assertEqual((status, answer["state"]), (200, "completed"), (way, file.size, answer))
        recorded = server.status(form["id"])
        self.assertEqual((recorded["state"], recorded["size"], recorded["way"]), ("completed", file.size, way))
        self.assertEqual(hash_of(form["key"]), file.sha256(), (way, file.size))

    def test_rgw(self):
        need_rgw()
        with Rgw() as s3, s3_server(s3, CONFIG) as server, tempfile.TemporaryDirectory() as folder:
            version = re.search(r"version (\d+)", subprocess.run(["radosgw", "--version"], capture_output=True, text=True, check=True).stdout)[1]
            self.fill(f"RGW {version}", server, s3.hash_of, folder, WAYS)
            self.assertEqual(s3.multiparts(), 0)

    def test_swift(self):
        if not swift.is_installed():
            self.skipTest("OpenStack Swift is not installed; tests/run installs it")
        keys = {"store__credentials__access_key": swift.Swift.access_key, "store__credentials__secret_key": swift.Swift.secret_key}
        with swift.Swift() as s3, s3_server(s3, CONFIG, **keys) as server, tempfile.TemporaryDirectory() as folder:
            wait_until(lambda: server.sign(size=1, ways=["form"])["ways"] == [], "it is known that Swift takes no forms")
            self.fill("Swift", server, s3.hash_of, folder, ["put", "multipart", "fallback"])

    def test_file_store(self):
        with Server(CONFIG) as server, tempfile.TemporaryDirectory() as folder:
            def hash_of(key):
                with open(server.object_path(key), "rb") as f:
                    return hashlib.file_digest(f, "sha256").hexdigest()

            self.fill("files", server, hash_of, folder, ["fallback"])

    @unittest.skipUnless(FULL, "POSTERN_FULL=1 sends 6 GiB")
    def test_a_file_beyond_a_form_and_beyond_a_put(self):
        need_rgw()
        with Rgw(disk=20 << 30) as s3, s3_server(s3, CONFIG) as server, tempfile.TemporaryDirectory() as folder:
            file = File(HUGE, folder)
            form = server.sign(size=HUGE, ways=WAYS)
            self.assertEqual([w["way"] for w in form["ways"]], ["multipart", "fallback"])
            self.check(server, form, "multipart", file, s3.hash_of)
            self.rows[("RGW on disk", "multipart")] = {"6 GiB": "equal"}


if __name__ == "__main__":
    main()
