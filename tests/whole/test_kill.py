"""Killed at any moment: nothing truncated is visible, nothing temporary stays, every completion that was answered is remembered."""

import os, random, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *


class Kill(unittest.TestCase):
    def test_fifty_kills_at_random_moments(self):
        random.seed(os.urandom(8))
        data = os.urandom(2_000_000)
        server = Server()
        answered, made, lock = {}, {}, threading.Lock()

        def upload_until_dead(stop):
            while not stop.is_set():
                try:
                    size = random.choice((0, 1000, 300_000, len(data)))
                    form = server.sign(success_action_status=random.choice((204, None)))
                    with lock:
                        made[form["key"]] = size
                    status, headers, _ = server.post_form(form["fields"], data[:size])
                    if status == 303:
                        status, _, body = server.request("GET", headers["location"].removeprefix(server.url), headers={"Accept": "application/json"})
                        if status != 200 or json.loads(body)["state"] != "completed":
                            continue
                    elif status != 204:
                        continue
                    with lock:
                        answered[form["id"]] = size
                except (OSError, AssertionError, http.client.HTTPException, ValueError):
                    time.sleep(0.005)

        try:
            for round in range(50):
                stop = threading.Event()
                threads = [threading.Thread(target=upload_until_dead, args=(stop,)) for _ in range(4)]
                [t.start() for t in threads]
                time.sleep(random.uniform(0.02, 0.25))
                server.process.kill()
                server.process.wait()
                stop.set()
                [t.join() for t in threads]
                server.log.close()
                server.start()
                self.assertEqual(server.leftovers(), [], f"after kill {round}")
                for path, size in server.objects().items():
                    self.assertEqual(size, made[path.removeprefix("local/")], f"{path} after kill {round}")
            for id, size in answered.items():
                told = server.status(id)
                self.assertIsNotNone(told, f"{id} is forgotten")
                self.assertEqual((told["state"], told["size"]), ("completed", size))
            self.assertGreater(len(answered), 20)
            print(f"50 kills, {len(made)} uploads begun, {len(answered)} answered as completed and all remembered", file=sys.stderr)
        finally:
            server.close()


main()
