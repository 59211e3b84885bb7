"""How much memory a server needs for each of many uploads that are sent slowly, and what it still has when they are gone.

    slow_uploads.py NAME PORT PID SIGNER_PORT BUCKET COUNT MIB

COUNT clients, each from an address of its own, announce MIB MiB and send 2 KiB a second. PID is the server on PORT; SIGNER_PORT is a Postern that signs the forms. Resident memory is read before, 10 s after the last client began, and until a minute after the last one left.
"""

import os, re, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
from slow_clients import *

name, bucket = sys.argv[1], sys.argv[5]
port, pid, signer, count, mib = (int(sys.argv[n]) for n in (2, 3, 4, 6, 7))
KIB, MIB = 1 << 10, 1 << 20


def resident():
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * KIB


raise_descriptor_limit()
forms = sign_forms(signer, count)
clients = [Client(form, mib * MIB, 2 * KIB, address(n), bucket=bucket) for n, form in enumerate(forms)]
before = resident()
slow = SlowClients(port, clients, per_second=1000)
slow.start()
while not all(c.begun for c in clients):
    time.sleep(0.1)
time.sleep(10)
running, unread, held = slow.count(None), max(unread_bytes(port), default=0), resident() - before
sent = sum(c.size - c.left for c in clients if c.status is None) / max(running, 1)
slow.stop()
end = time.monotonic() + 60
while (after := resident() - before) > 10 * MIB and time.monotonic() < end:
    time.sleep(0.5)
print(f"{name:34} {mib:5} MiB announced: {running:5} of {count} uploads run, {held / max(running, 1) / KIB:6.1f} KiB each, {sent / KIB:5.1f} KiB sent   afterwards idle + {after / MIB:5.1f} MiB" +
      (f"   others: {slow.summary()}" if running < count else "") + (f"   not read: {unread} bytes" if unread > 16 * KIB else ""))
