"""How fast 1 GiB goes through the fallback into a real S3 (Ceph RGW), compared with rclone and the AWS command line, which send it directly.

    against_tools.py POSTERN ROUNDS [MIB]

Each tool sends the same file with its own defaults; runs alternate, and what was stored is removed and its room given back in between. Prints medians.
"""

import os, statistics, subprocess, sys, tempfile, time

rounds, size = int(sys.argv[2]), int(sys.argv[3] if len(sys.argv) > 3 else 1024) << 20
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
from whole_s3 import *

file = tempfile.NamedTemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 2 * size else None)
for piece in Pattern(size):
    file.write(piece)
file.flush()


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, timeout=600, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-1000:]}")


def by_postern():
    form = server.sign(filename="file")
    begin = time.monotonic()
    status, _, body = curl_form(form["fallback_url"], form["fields"], file.name)
    assert status == 303, body
    return time.monotonic() - begin, form["key"]


def by_command(*command, stdin=None):
    begin = time.monotonic()
    with open(file.name if stdin else os.devnull, "rb") as source:
        run(*command, env=environment, stdin=source)
    return time.monotonic() - begin, "tool"


with Rgw(disk=40 << 30) as s3, s3_server(s3) as server:
    # Nothing of the caller's own settings.
    environment = dict(PATH=os.environ["PATH"], AWS_ACCESS_KEY_ID=rgw.ACCESS_KEY, AWS_SECRET_ACCESS_KEY=rgw.SECRET_KEY, AWS_DEFAULT_REGION=rgw.REGION, AWS_EC2_METADATA_DISABLED="true", HOME=s3.folder)
    # no_check_bucket: else rclone asks to make the bucket at each run.
    remote = f":s3,provider=Ceph,env_auth=true,endpoint='{s3.endpoint}',no_check_bucket=true:{s3.bucket}/tool"
    ways = {
        "postern": lambda: by_postern(),
        "rclone copyto": lambda: by_command("rclone", "copyto", file.name, remote),
        "rclone rcat": lambda: by_command("rclone", "rcat", remote, stdin=True),
        "aws s3 cp": lambda: by_command("/usr/bin/aws", "--endpoint-url", s3.endpoint, "s3", "cp", "--no-progress", file.name, f"s3://{s3.bucket}/tool"),
    }
    expected = Pattern(size).sha256()
    seconds = {name: [] for name in ways}
    for n in range(rounds):
        for name, send in ways.items():
            took, key = send()
            seconds[name].append(took)
            if n == 0:
                assert s3.hash_of(key) == expected, f"{name}: not what was sent"
            s3.request("DELETE", key)
            s3.tool("radosgw-admin", "gc", "process", "--include-all")
    ours = statistics.median(seconds["postern"])
    for name, all_of_it in seconds.items():
        middle = statistics.median(all_of_it)
        print(f"{size >> 20} MiB into RGW   {name:14} {size / middle / (1 << 20):6.0f} MiB/s" + ("" if name == "postern" else f"   postern is {middle / ours:.2f} times as fast"))
