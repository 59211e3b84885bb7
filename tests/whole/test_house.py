"""The architecture holds: floors and rooms include only what they may; the top level has only what it may have."""

import os, re, subprocess, sys, unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import whole

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FLOORS = ["base", "core", "io", "flow", "front", "app"]

# Which rooms of its own floor a room may use. "io" itself has the contracts; "front" and "app" put their rooms together.
ROOMS = {
    "base": [],
    "core/http": [], "core/s3": [], "core": ["core/s3", "core/http"], "core/events": ["core", "core/http"],
    "io": [], "io/net": ["io"], "io/aws": ["io", "io/net"], "io/s3": ["io", "io/net", "io/aws"],
    "io/files": ["io"], "io/sql": ["io"], "io/ledger": ["io", "io/sql"],
    "flow": [],
    "front/endpoints": ["front"], "front": ["front/endpoints"],
    "app/config": [], "app/webhooks": ["app/config"], "app/setup": ["app", "app/config", "app/doctor"],
    "app/doctor": ["app", "app/config", "app/setup", "app/webhooks"],
    "app": ["app/config", "app/doctor", "app/setup", "app/webhooks"],
}


def files(*folders):
    for folder in folders:
        for path, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in sorted(names):
                if name.endswith((".hpp", ".cpp")):
                    yield os.path.join(path, name)


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def includes():
    """Each include of ours: the unit that includes and the one that is included, as "io/net/wire"."""
    for path in files("include/postern", "src"):
        unit = os.path.splitext(os.path.relpath(path, ROOT).replace("include/postern/", "src/"))[0].removeprefix("src/")
        if "/" in unit:  # not main
            for used in re.findall(r"#include <postern/([\w/]+)\.hpp>", text_of(path)):
                yield unit, used


def cycle(uses):
    """A list of units each of which uses the next one, the last one the first; None where there is none."""
    done = set()

    def visit(unit, above):
        if unit in above:
            return above[above.index(unit) :]
        if unit not in done:
            for used in sorted(uses.get(unit, ())):
                if found := visit(used, above + [unit]):
                    return found
            done.add(unit)
        return None

    return next((found for unit in sorted(uses) if (found := visit(unit, []))), None)


class House(unittest.TestCase):
    def test_a_floor_uses_only_those_below(self):
        seen = 0
        for unit, used in includes():
            seen += 1
            floors = FLOORS.index(used.split("/")[0]), FLOORS.index(unit.split("/")[0])
            self.assertLessEqual(*floors, f"{unit} includes {used}")
        self.assertGreater(seen, 50)

    def test_a_room_uses_only_those_that_it_may(self):
        for unit, used in includes():
            room, other = os.path.dirname(unit), os.path.dirname(used)
            if room != other and room.split("/")[0] == other.split("/")[0]:
                self.assertIn(other, ROOMS[room], f"{unit} includes {used}")

    def test_no_rooms_use_each_other_through_their_units(self):
        uses = {}
        for unit, used in includes():
            if os.path.dirname(unit) != os.path.dirname(used):
                uses.setdefault(unit, set()).add(used)
        self.assertEqual(cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}), ["b", "c"])  # the search finds one
        self.assertIsNone(cycle(uses))

    def test_a_room_has_a_dozen_units_at_most(self):
        rooms = {}
        for path in files("include/postern", "src"):
            unit = os.path.splitext(os.path.relpath(path, ROOT).replace("include/postern/", "src/"))[0]
            rooms.setdefault(os.path.dirname(unit), set()).add(unit)
        for room, units in rooms.items():
            self.assertLessEqual(len(units), 14, f"{room}: {sorted(units)}")
        self.assertEqual(sorted(r for r in rooms if r != "src"), sorted("src/" + r for r in ROOMS))

    def test_the_lower_floors_know_no_network(self):
        for path in files("include/postern/base", "src/base", "include/postern/core", "src/core"):
            self.assertNotRegex(text_of(path), r"#include <boost/(asio|beast)", path)
        for path in files("include/postern/flow", "src/flow"):
            self.assertNotRegex(text_of(path), r"#include <boost/beast|http::", path)

    def test_every_header_says_what_it_is(self):
        for path in files("include/postern"):
            self.assertTrue(text_of(path).startswith("// "), path)

    def test_nothing_is_detached_or_left_for_later(self):
        for path in files("include", "src", "tests", "bench"):
            self.assertNotRegex(text_of(path), r"asio::detached|shared_from_this|\bTODO\b|\bFIXME\b", path)

    def test_the_top_level(self):
        if not os.path.exists(os.path.join(ROOT, ".git")):
            self.skipTest("not a checkout")
        names = subprocess.run(["git", "-C", ROOT, "ls-tree", "--name-only", "HEAD"], capture_output=True, text=True, check=True).stdout.split()
        allowed = {"CMakeLists.txt", "README.md", "conf", "include", "src", "tests", "bench"}
        self.assertEqual([n for n in names if not n.startswith(".") and n not in allowed], [])


if __name__ == "__main__":
    whole.main()
