"""Ends the processes of a test when the test process has ended without cleanup: killed by a time limit, or crashed.

    watchdog.watch(process.pid)            SIGKILL
    watchdog.watch(process.pid, "QUIT")    SIGQUIT first, SIGKILL after five seconds
    watchdog.watch_folder(path)            removed after that

The watchdog is a process of its own and no child of the test process, so what kills the test process and all its children
leaves it alone. It reads a pipe whose other end only the test process holds, and acts when the pipe ends. Started as
`setsid --fork python3 tests/support/watchdog.py` it takes lines: "process PID SIGNAL" and "folder PATH".
"""

import os, shutil, signal, subprocess, sys, threading, time

pipe, lock = None, threading.Lock()


def watch(pid, how="KILL"):
    tell(f"process {pid} {how}\n")


def watch_folder(path):
    tell(f"folder {path}\n")


def tell(line):
    global pipe
    with lock:
        if pipe is None:
            read, pipe = os.pipe()
            subprocess.run(["setsid", "--fork", sys.executable, os.path.abspath(__file__)], stdin=read, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", check=True)
            os.close(read)
        os.write(pipe, line.encode())


# --- the watchdog's process -----------------------------------------------------------------------------

def parent_and_start(pid):
    """The parent of a process and its start time, which distinguishes it from a later process with the same id. None when the process has ended."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[1]), fields[19])


def family(roots):
    """The processes of `roots` and all their descendants, as a set of (pid, start)."""
    known = {pid: stat for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if (stat := parent_and_start(pid))}
    found = {(pid, start) for pid, start in roots if pid in known and known[pid][1] == start}
    while more := {(pid, start) for pid, (parent, start) in known.items() if parent in {p for p, _ in found}} - found:
        found |= more
    return found


def send(processes, number):
    for pid, start in processes:
        if (stat := parent_and_start(pid)) and stat[1] == start:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def end(processes, grace=5):
    """`processes`: (pid, start) to the signal that each process gets first. Stopped processes are resumed, so that they receive the signal."""
    everyone = family(processes)
    send(everyone, signal.SIGCONT)
    for process, number in processes.items():
        send([process], number)
    until = time.monotonic() + grace
    while alive := {p for p in everyone if (stat := parent_and_start(p[0])) and stat[1] == p[1]}:
        if time.monotonic() > until:
            send(alive | family(alive), signal.SIGKILL)
        time.sleep(0.02)


def main():
    os.closerange(3, 65536)  # the test's sockets: the other side must see when the test closes them
    processes, folders = {}, []
    for line in sys.stdin:
        kind, value = line.rstrip("\n").split(" ", 1)
        if kind == "folder":
            folders.append(value)
        else:
            pid, how = value.split()
            if stat := parent_and_start(int(pid)):
                processes[int(pid), stat[1]] = signal.Signals["SIG" + how]
    end(processes)
    until = time.monotonic() + 10
    # A tool that ran when the test ended may still write for a moment.
    while (left := [f for f in folders if os.path.exists(f)]) and time.monotonic() < until:
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
