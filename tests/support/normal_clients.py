"""Clients that send at full speed, beside whatever else a test does to the server. They are a process of their own, so that their times are not those of the test's other threads.

    normal_uploads(server.port, "local", 10)     uploads of 100 KiB, one after another from changing addresses, and of 50 MiB beside them, for ten seconds
"""

import http.client, json, os, subprocess, sys, threading, time
from whole import form_body

KIB, MIB = 1 << 10, 1 << 20
SMALL, LARGE = 100 * KIB, 50 * MIB
PAUSES = {SMALL: 0.02, LARGE: 5.0}  # seconds between two uploads
ADDRESSES = 200


class NormalUploads:
    """What became of them: the seconds of each upload that was answered 303, and what happened to the others."""

    def __init__(self, small, large, bad):
        self.small, self.large, self.bad = small, large, bad

    def done(self):
        return len(self.small) + len(self.large)

    def asked(self):
        return self.done() + len(self.bad)

    def milliseconds(self, share):
        """The median for 0.5; of the uploads of 100 KiB."""
        return sorted(self.small)[int(len(self.small) * share)] * 1000 if self.small else float("nan")


def normal_uploads(port, bucket, seconds, is_named=False):
    """`is_named`: a trusted proxy stands in between, and the clients differ in X-Forwarded-For only."""
    command = [sys.executable, os.path.abspath(__file__), str(port), bucket, str(seconds), "named" if is_named else "plain"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 400, check=False)
    assert done.returncode == 0, done.stderr
    return NormalUploads(**json.loads(done.stdout))


# --- the clients' process -------------------------------------------------------------------------------

def ask(c, path, body, content_type, extra):
    c.request("POST", path, body, {"Content-Type": content_type, **extra})
    r = c.getresponse()
    return r.status, r.read()


def upload(port, bucket, number, data, is_named):
    """A form is asked for and posted, each on a connection of its own: the seconds that both took."""
    source = "127.200.0.1" if is_named else f"127.200.0.{number % ADDRESSES + 1}"
    extra = {"X-Forwarded-For": f"203.0.113.{number % ADDRESSES + 1}"} if is_named else {}
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0)) for _ in range(2)]
    begin = time.monotonic()
    try:
        status, answer = ask(connections[0], "/v1/uploads", json.dumps({"filename": "a b.bin", "size": len(data)}), "application/json", extra)
        assert status == 201, f"signing: {status} {answer[:200]}"
        body, content_type = form_body(json.loads(answer)["fields"], data)
        status, answer = ask(connections[1], f"/upload/{bucket}", body, content_type, extra)
        assert status == 303, f"{len(data)} bytes: {status} {answer[:200]}"
        return time.monotonic() - begin
    finally:
        for c in connections:
            c.close()


def run(port, bucket, seconds, is_named):
    times, bad, end = {SMALL: [], LARGE: []}, [], time.monotonic() + seconds

    def send(size, number):
        data = os.urandom(size)
        while time.monotonic() < end:
            try:
                times[size].append(upload(port, bucket, number, data, is_named))
            except (AssertionError, OSError, http.client.HTTPException) as e:
                bad.append(f"{size} bytes: {e!r}")
            number += 1
            time.sleep(max(0, min(PAUSES[size], end - time.monotonic())))

    threads = [threading.Thread(target=send, args=(size, first)) for size, first in ((SMALL, 0), (LARGE, ADDRESSES // 2))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(json.dumps({"small": times[SMALL], "large": times[LARGE], "bad": bad}))


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4] == "named")
