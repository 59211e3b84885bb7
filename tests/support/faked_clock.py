"""A Postern whose clock the test moves while it runs, with libfaketime.

Only the time of day is faked, as a real clock is set: the monotonic clock goes on, and so do the timers that use it (DONT_FAKE_MONOTONIC, monotonic_timers.c). The library reads its offset from a file again every time it is asked.
"""

import glob
from whole_s3 import *

HOUR, DAY = 3600, 86_400


def library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    return found[0] if found else None


class FakedClock(Server):
    def start(self):
        self.clock_file = os.path.join(self.folder, "clock")
        if not os.path.exists(self.clock_file):
            self.set_clock(0)
        timers = os.path.join(self.folder, "monotonic_timers.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", timers, os.path.join(os.path.dirname(__file__), "monotonic_timers.c")], check=True, timeout=60)
        self.environment.update({"LD_PRELOAD": f"{timers}:{library()}", "FAKETIME_TIMESTAMP_FILE": self.clock_file, "FAKETIME_NO_CACHE": "1", "NO_FAKE_STAT": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        super().start()

    def set_clock(self, seconds):
        """Sets the time of day so many seconds ahead of this machine's, or behind it."""
        with open(self.clock_file + ".new", "w", encoding="ascii") as f:
            f.write(f"{seconds:+d}\n")
        os.replace(self.clock_file + ".new", self.clock_file)

    def clock_ahead(self):
        """How far the server's clock is ahead, as the Date of its answers says, in whole seconds."""
        date = self.request("GET", "/v1/uploads/x")[1]["date"]
        import calendar
        return calendar.timegm(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.time()

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
