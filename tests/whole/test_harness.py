"""The tools of the tests: a killed test leaves no process and no folder, and reports of sanitizers are recognized."""

import glob, os, sys

SUPPORT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "support"))
sys.path.insert(0, SUPPORT)
from whole import *
import postgres, rgw

# A test with one of everything. It prints what it started and waits to be killed.
VICTIM = f"""
import sys
sys.path.insert(0, {SUPPORT!r})
from whole import *
import postgres, rgw
with contextlib.ExitStack() as stack:
    started = [Server()]
    if rgw.is_installed():
        started.append(rgw.Rgw().__enter__())
    if postgres.is_installed():
        started.append(postgres.Postgres().__enter__())
        started[-1].freeze()
    print(json.dumps([s.folder for s in started]), flush=True)
    signal.pause()
"""


def processes_of(folders):
    """The ids of processes whose command line, environment or working folder names one of `folders`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as command, open(f"/proc/{pid}/environ", "rb") as environment:
                text = command.read() + environment.read() + os.fsencode(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            continue  # ended meanwhile
        if any(os.fsencode(folder) in text for folder in folders):
            found.append(int(pid))
    return found


class KilledTests(unittest.TestCase):
    def expect_nothing_left(self, command, number, folders_of, at_least):
        victim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        with victim.stdout:
            folders = folders_of(victim.stdout.readline())
            self.assertGreaterEqual(len(processes_of(folders)), at_least)
            for folder in folders:
                self.assertTrue(os.path.isdir(folder))
            victim.send_signal(number)
            victim.wait(60)
        end = time.monotonic() + 30
        while (processes_of(folders) or any(map(os.path.exists, folders))) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(processes_of(folders), [])
        self.assertEqual([f for f in folders if os.path.exists(f)], [])

    def test_a_killed_test_leaves_nothing(self):
        # The program; monitor, OSD and gateway; PostgreSQL with its background processes, all of them stopped.
        at_least = 1 + 3 * rgw.is_installed() + 4 * postgres.is_installed()
        for name, number in (("SIGKILL", signal.SIGKILL), ("SIGTERM", signal.SIGTERM)):
            with self.subTest(name):
                self.expect_nothing_left([sys.executable, "-c", VICTIM, BINARY], number, json.loads, at_least)

    @unittest.skipUnless(rgw.is_installed(), "Ceph RGW is not installed")
    def test_a_killed_rgw_script_leaves_nothing(self):
        def folders(line):
            port = re.search(r"endpoint http://127.0.0.1:(\d+)", line).group(1)
            return [f for f in glob.glob(tempfile.gettempdir() + "/postern-rgw-*") if self.contains(f"{f}/ceph.conf", "127.0.0.1:" + port)]
        self.expect_nothing_left([sys.executable, os.path.join(SUPPORT, "rgw.py")], signal.SIGKILL, folders, 3)

    def contains(self, path, text):
        try:
            with open(path) as f:
                return text in f.read()
        except OSError:
            return False


class Reports(unittest.TestCase):
    def test_reports_of_sanitizers_are_recognized(self):
        for text in ("==4242==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x4",
                     "==4242==ERROR: LeakSanitizer: detected memory leaks",
                     "WARNING: ThreadSanitizer: data race (pid=4242)",
                     "src/core/form.cpp:12:7: runtime error: signed integer overflow"):
            self.assertTrue(SANITIZER_REPORT.search("a line\n" + text + "\nanother\n"), text)

    def test_log_lines_are_no_sanitizer_reports(self):
        for text in ("level=warn event=refused reason=\"TAPE_ERROR: The JSON document has an improper structure\"",
                     "level=error event=config detail=\"ERROR: duplicate key value violates unique constraint\""):
            self.assertFalse(SANITIZER_REPORT.search(text), text)


if __name__ == "__main__":
    main()
