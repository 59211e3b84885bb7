"""What the fallback costs while it streams to S3: memory, disk, and what happens when the store is slow, dies and comes back.

POSTERN_FULL=1 sends 200 files of 50 MiB at once instead of 20 MiB.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support", "peers"))
from whole_s3 import *
import hashes

GIB = 1 << 30


def written(server):
    """Bytes that the program has written to disks."""
    with open(f"/proc/{server.process.pid}/io") as f:
        return int(re.search(r"^write_bytes: (\d+)", f.read(), re.M).group(1))


def idle_with(server, count):
    """The program's memory while `count` clients are connected, have been answered once and send nothing more."""
    connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=60) for _ in range(count)]
    for c in connections:
        c.request("GET", "/postern.js")
        assert c.getresponse().read()
    memory = server.memory()
    for c in connections:
        c.close()
    wait_until(lambda: server.metric("postern_connections") < count / 2, "the connections closed")
    return memory


class Load(unittest.TestCase):
    def one_large(self, s3, size, hash_of):
        with s3_server(s3, '[auth]\nanonymous = true\n[profiles.default]\nmax_size = "10GiB"\n') as server:
            self.assertEqual(send_large(server, server.sign(), Pattern(20 * MIB))[0], 303)  # one-time allocations are done
            idle, disk = server.memory(), written(server)
            server.reset_peak()
            form, data = server.sign(size=size), Pattern(size)
            status, _, body = send_large(server, form, data)
            self.assertEqual(status, 303, body)
            peak = server.memory("VmHWM") - idle
            print(f"\n{size / GIB:.0f} GiB through the fallback: peak {peak / MIB:.1f} MiB over idle ({idle / MIB:.1f} MiB), {(written(server) - disk) / MIB:.1f} MiB written to disks", file=sys.stderr)
            if not is_sanitized():
                self.assertLess(peak, 32 * MIB)
            self.assertLess(written(server) - disk, 4 * MIB)  # the ledger
            recorded = server.status(form["id"])
            self.assertEqual((recorded["state"], recorded["size"], recorded["checksum_crc32c"]), ("completed", size, crc32c.of(data)))
            self.assertEqual(hash_of(form["key"]), data.sha256())

    def test_3_gib_into_rgw_in_little_memory(self):
        with Rgw() as s3:
            self.one_large(s3, (1 if is_sanitized() else 3) * GIB, s3.hash_of)
            self.assertEqual(s3.multiparts(), 0)

    def test_6_gib_into_a_hashing_s3_in_little_memory(self):
        with hashes.Peer() as s3:
            self.one_large(s3, (1 if is_sanitized() else 6) * GIB, lambda key: s3.objects[key].sha256.hexdigest())
            self.assertEqual(s3.uploads, {})

    def test_200_concurrent_uploads_stay_within_the_budget(self):
        count, size, budget = (50, 20 * MIB, 16 * MIB) if is_sanitized() else (200, (50 if FULL else 20) * MIB, 64 * MIB)
        with Rgw(disk=30 * GIB) as s3, s3_server(s3, limits__buffers=str(budget), limits__body_silence="300s", store__timeout="120s") as server:
            self.assertEqual(send_large(server, server.sign(), Pattern(20 * MIB))[0], 303)
            idle, disk = idle_with(server, count), written(server)
            server.reset_peak()

            def send(n):
                form = server.sign()
                return form, *send_until_taken(server, form, Pattern(size, n), source=f"127.0.1.{n % 20 + 1}")  # one address has a quarter of the budget

            answers = in_threads(send, range(count), 900)
            self.assertEqual({status for _, status, _ in answers}, {303})
            peak = server.memory("VmHWM") - idle
            print(f"\n{count} uploads of {size // MIB} MiB at once: peak {peak / MIB:.1f} MiB over the {idle / MIB:.1f} MiB that {count} idle connections cost, with a budget of {budget // MIB} MiB; too busy: {sum(busy for *_, busy in answers)} times", file=sys.stderr)
            if not is_sanitized():
                self.assertLessEqual(peak, budget)
            # The ledger's rows of progress, once a second: the slower the machine, the more of them.
            self.assertLess(written(server) - disk, max(8 * MIB, count * size // 100))
            for n in range(0, count, 17):
                self.assertEqual(s3.hash_of(answers[n][0]["key"]), Pattern(size, n).sha256())
            self.assertEqual(s3.multiparts(), 0)

    def test_a_slow_store_makes_readers_wait(self):
        # Without the budget, 80 clients hold 18 MiB. With a sanitizer the memory is not measured.
        count, budget = 20 if is_sanitized() else 80, 8 * MIB
        with Rgw() as s3, s3_server(s3, limits__buffers=str(budget), store__timeout="60s", store__deadline="5m") as server:
            self.assertEqual(send_large(server, server.sign(), Pattern(20 * MIB))[0], 303)
            idle = idle_with(server, count)
            server.reset_peak()
            s3.freeze()
            data, sockets, sent = Pattern(12 * MIB), [], []
            for _ in range(count):
                form = server.sign()
                begin = form_begin(form["fields"])
                s = server.raw(timeout=120)
                s.sendall(form_header(len(begin) + data.size + len(form_end()), "media") + begin)
                s.setblocking(False)
                sockets.append((s, form))
                sent.append(0)
            block = b"".join(data)
            # Each client sends until its socket is full, then all clients wait: the backpressure reaches them, and memory does not grow.
            still = 0
            end = time.monotonic() + 30
            while still < 20 and time.monotonic() < end:
                moved = False
                for i, (s, _) in enumerate(sockets):
                    try:
                        n = s.send(block[sent[i]:sent[i] + MIB])
                        sent[i] += n
                        moved = moved or n > 0
                    except BlockingIOError:
                        pass
                still = 0 if moved else still + 1
                time.sleep(0.05)  # still for a second
            self.assertGreaterEqual(still, 20)
            self.assertLess(max(sent), data.size)
            peak = server.memory("VmHWM") - idle
            print(f"\nstore frozen, {count} clients blocked after {sum(sent) / count / MIB:.1f} MiB each: peak {peak / MIB:.1f} MiB over the {idle / MIB:.1f} MiB that {count} idle connections cost, with a budget of {budget // MIB} MiB", file=sys.stderr)
            if not is_sanitized():
                self.assertLessEqual(peak, budget)
            s3.freeze(False)

            def go_on(i):
                s, form = sockets[i]
                s.setblocking(True)
                s.settimeout(120)
                with s:
                    try:
                        s.sendall(block[sent[i]:] + form_end())
                    except (BrokenPipeError, ConnectionResetError):
                        pass  # the answer has the reason
                    answer = read_answer(s)
                return answer[0] if answer and answer[0] != 503 else send_until_taken(server, form, data)[0]

            self.assertEqual(set(in_threads(go_on, range(count), 600)), {303})

    def test_a_store_that_is_killed_during_an_upload_and_restarted(self):
        with Rgw() as s3, s3_server(s3, store__timeout="5s") as server:
            failures = 0
            for size, after in ((1 * MIB, 0), (40 * MIB, 1), (40 * MIB, 20), (40 * MIB, 39)):
                with self.subTest(f"{size // MIB} MiB, killed after {after}"):
                    form, data, pieces = server.sign(), Pattern(size, after), itertools.count()

                    def on_piece():
                        if next(pieces) == after:
                            s3.kill()
                            threading.Timer(0.3, s3.revive).start()

                    answer = send_large(server, form, data, on_piece=on_piece)
                    self.assertIsNotNone(answer)
                    s3.wait("the gateway", lambda: s3.request("GET", query="?max-keys=1"))
                    # The object under the key, before the client retries.
                    if answer[0] == 303:
                        self.assertEqual(s3.hash_of(form["key"]), data.sha256())
                    else:
                        failures += 1
                        self.assertEqual((answer[0], s3_code(answer[2])), (503, "ServiceUnavailable"))
                        self.assertFalse(s3.has(form["key"]), "an object is under the key of an upload that failed")
                        self.assertEqual(server.status(form["id"])["state"], "issued")  # the form can be posted again
                    # The client then retries with the same form.
                    self.assertEqual(send_large(server, form, data)[0], 303)
                    self.assertEqual(s3.hash_of(form["key"]), data.sha256())
                    self.assertEqual(server.status(form["id"])["state"], "completed")
            self.assertGreater(failures, 0, "no upload failed, so nothing was examined")

    def test_a_drain_ends_what_waits_for_the_store(self):
        with Rgw() as s3:
            server = s3_server(s3, server__drain="1s", store__timeout="60s")
            s3.freeze()
            form, data = server.sign(), Pattern(30 * MIB)
            sender = threading.Thread(target=lambda: send_large(server, form, data), daemon=True)
            sender.start()
            wait_until(lambda: server.metric("postern_transfers") == 1, "the upload begun")
            begin = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "drain timed out" in server.log_text(), "the end of the drain", 10)
            s3.freeze(False)  # cleanup may take as long as the store does
            server.stop(None)
            self.assertLess(time.monotonic() - begin, 15)
            sender.join(30)
            self.assertFalse(sender.is_alive())
            self.assertFalse(s3.has(form["key"]))
            server.close()


if __name__ == "__main__":
    need_rgw()
    main()
