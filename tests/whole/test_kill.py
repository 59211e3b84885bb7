"""The server is killed at random moments: no truncated object is visible, no temporary file stays, and no answered completion is lost."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *


class Kill(unittest.TestCase):
    def test_fifty_kills_at_random_moments_lose_nothing(self):
        moments, data = seeded("moments"), random_bytes(2_000_000)
        server = Server()
        answered, made, lock, errors = {}, {}, threading.Lock(), []

        def upload(rng, is_killed):
            """Uploads until the server is killed. Only a killed server may lose a connection."""
            while not is_killed.is_set():
                try:
                    size = rng.choice((0, 1000, 300_000, len(data)))
                    form = server.sign(success_action_status=rng.choice((204, None)))
                    with lock:
                        made[form["key"]] = size
                    status, headers, _ = server.post_form(form["fields"], data[:size])
                    if status == 303:
                        status, _, body = server.request("GET", headers["location"].removeprefix(server.url), headers={"Accept": "application/json"})
                        assert (status, json.loads(body)["state"]) == (200, "completed"), (status, body)
                    else:
                        assert status == 204, status
                    with lock:
                        answered[form["id"]] = size
                except (ConnectionError, http.client.RemoteDisconnected, http.client.IncompleteRead) as e:
                    if not is_killed.wait(1):
                        errors.append(e)
                    return
                except BaseException as e:
                    errors.append(e)
                    return

        try:
            for round in range(50):
                is_killed = threading.Event()
                threads = [threading.Thread(target=upload, args=(seeded(f"{round} {n}"), is_killed), daemon=True) for n in range(4)]
                for t in threads:
                    t.start()
                time.sleep(moments.uniform(0.02, 0.25))  # the time of the kill is random
                server.kill()
                is_killed.set()
                for t in threads:
                    t.join(60)
                self.assertEqual([t for t in threads if t.is_alive()] + errors, [], f"kill {round}")
                server.start()
                self.assertEqual(server.leftovers(), [], f"after kill {round}")
                for path, size in server.objects().items():
                    self.assertEqual(size, made[path.removeprefix("local/")], f"{path} after kill {round}")
            for id, size in answered.items():
                recorded = server.status(id)
                self.assertIsNotNone(recorded, f"{id} is forgotten")
                self.assertEqual((recorded["state"], recorded["size"]), ("completed", size))
            self.assertGreater(len(answered), 20)
            print(f"50 kills, {len(made)} uploads begun, {len(answered)} answered as completed and all remembered", file=sys.stderr)
        finally:
            server.close()


main()
