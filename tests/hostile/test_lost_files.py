"""The ledger's file or the store's folder is deleted, moved or replaced while the server runs: nothing is acknowledged that a restart would not find."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *


class LostFiles(unittest.TestCase):
    def setUp(self):
        self.server = Server("[auth]\nanonymous = true\n")
        self.database = os.path.join(self.server.folder, "postern.db")
        self.objects = self.server.environment["POSTERN_STORE__PATH"]
        self.elsewhere = os.path.join(self.server.folder, "elsewhere")

    def tearDown(self):
        self.server.close()

    def upload(self, **ask):
        """Posts a form that asks for a status instead of the redirect, so that the answer acknowledges the upload: (form, status)."""
        form = self.server.sign(success_action_status=204, **ask)
        return form, self.server.post_form(form["fields"], b"hello")[0]

    def stored(self):
        form, status = self.upload()
        self.assertEqual(status, 204)
        return form

    def complete(self, form):
        return self.server.request("GET", urlsplit(form["complete_url"]).path, headers={"Accept": "application/json"})[0]

    def readiness(self):
        status, _, body = self.server.admin("/readyz")
        return status, body.decode()

    def check_ledger_refuses(self, what):
        """From the first request on, not after some time."""
        for _ in range(3):
            form, status = self.upload()
            self.assertEqual(status, 503)
            redirected = self.server.sign()
            self.server.post_form(redirected["fields"], b"hello")  # its redirect is the acknowledgement
            self.assertEqual(self.complete(redirected), 503)
            self.assertEqual(self.complete(form), 503)
        status, why = self.readiness()
        self.assertEqual(status, 503)
        self.assertIn(what, why)
        errors = [l for l in self.server.log_text().splitlines() if "level=error" in l and "ledger cannot be written" in l]
        self.assertEqual(len(errors), 1)
        self.assertIn(what, errors[0])
        self.assertIn("Move the file back", errors[0])
        self.assertEqual(self.server.metric("postern_ledger_up"), 0)

    def check_all_recorded(self, forms):
        for form in forms:
            self.assertEqual(self.server.status(form["id"])["state"], "completed")

    def test_a_deleted_ledger_acknowledges_nothing(self):
        self.stored()
        os.remove(self.database)
        self.check_ledger_refuses("deleted or moved")
        # After a restart the server begins with an empty ledger.
        self.server.restart()
        self.assertEqual(self.readiness()[0], 200)
        self.check_all_recorded([self.stored()])

    def test_a_ledger_that_is_moved_back_goes_on(self):
        before = self.stored()
        os.rename(self.database, self.elsewhere)
        self.check_ledger_refuses("deleted or moved")
        os.rename(self.elsewhere, self.database)
        wait_until(self.server.is_ready, "the ledger is used again", 30)
        self.check_all_recorded([before, after := self.stored()])
        self.server.restart()
        self.check_all_recorded([before, after])

    def test_a_ledger_that_is_replaced_by_a_copy_is_not_used(self):
        self.stored()
        os.rename(self.database, self.elsewhere)
        shutil.copy(self.elsewhere, self.database)
        self.check_ledger_refuses("replaced")

    def test_a_deleted_log_of_the_ledger_is_saved_by_a_clean_stop(self):
        before = self.stored()
        os.remove(self.database + "-wal")
        self.check_ledger_refuses("postern.db-wal")
        self.server.restart()
        self.check_all_recorded([before, self.stored()])

    def test_everything_acknowledged_up_to_the_loss_is_there_when_the_file_is(self):
        """Clients upload without pause while the file is moved away and back. What was acknowledged is there after a restart."""
        taken, stop, lock = [], threading.Event(), threading.Lock()

        def client(_):
            while not stop.is_set():
                form, status = self.upload()
                assert status in (204, 503), status
                if status == 204:
                    with lock:
                        taken.append(form)

        def move():
            try:
                move_four_times()
            finally:
                stop.set()

        def move_four_times():
            for _ in range(4):
                time.sleep(0.3)
                os.rename(self.database, self.elsewhere)
                wait_until(lambda: self.readiness()[0] == 503, "the loss is noticed", 10)
                count = len(taken)
                time.sleep(0.2)
                assert len(taken) - count <= 4, "uploads are acknowledged after the loss"  # one answer of each client can have been on its way
                os.rename(self.elsewhere, self.database)
                wait_until(self.server.is_ready, "the ledger is used again", 30)

        in_threads(lambda work: work(), [move, *([lambda: client(None)] * 4)])
        self.assertGreater(len(taken), 0)
        self.server.restart()
        self.check_all_recorded(taken)

    def check_store_refuses(self, what):
        for _ in range(3):
            self.assertEqual(self.upload()[1], 503)
        status, why = self.readiness()
        self.assertEqual(status, 503)
        self.assertIn(what, why)
        errors = [l for l in self.server.log_text().splitlines() if "level=error" in l and "store folder lost" in l]
        self.assertEqual(len(errors), 1)
        self.assertIn("move the folder back", errors[0])

    def test_a_store_folder_that_is_replaced_takes_no_uploads(self):
        before = self.stored()
        begun = self.server.sign(success_action_status=204)
        body, content_type = form_body(begun["fields"], b"hello")
        with self.server.raw() as s:
            s.sendall(form_header(len(body), content_type=content_type) + body[:-20])
            wait_until(self.server.leftovers, "the upload has begun")
            os.rename(self.objects, self.elsewhere)
            os.mkdir(self.objects)
            s.sendall(body[-20:])
            self.assertEqual(read_answer(s)[0], 503)
        self.check_store_refuses("replaced")
        self.assertEqual(os.listdir(self.objects), [])
        os.rmdir(self.objects)
        os.rename(self.elsewhere, self.objects)
        wait_until(self.server.is_ready, "the folder is used again")
        after = self.stored()
        self.server.restart()
        self.check_all_recorded([before, after])
        for form in (before, after):
            self.assertTrue(os.path.exists(self.server.object_path(form["key"])))

    def test_a_store_folder_that_is_moved_away_takes_no_uploads(self):
        self.stored()
        os.rename(self.objects, self.elsewhere)
        self.check_store_refuses("deleted or moved")

    def test_a_deleted_store_folder_takes_no_uploads(self):
        shutil.rmtree(self.objects)
        self.check_store_refuses("deleted or moved")


if __name__ == "__main__":
    main()
