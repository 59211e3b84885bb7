"""The architecture holds: floors and rooms include only what they may; the top level has only what it may have."""

import os, re, subprocess, sys, unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import whole

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FLOORS = ["base", "core", "io", "flow", "front", "app"]

# Which rooms of its own floor a room may use. "io" itself has the contracts; "front" and "app" put their rooms together.
ROOMS = {
    "base": [],
    "core/http": [], "core/s3": [], "core/multipart": ["core"], "core/resumable": ["core", "core/s3"], "core": ["core/s3", "core/http"], "core/events": ["core", "core/http"],
    "io": [], "io/net": ["io"], "io/shared": ["io"], "io/auth": ["io", "io/net", "io/shared"], "io/aws": ["io", "io/net"], "io/s3": ["io", "io/net", "io/aws"],
    "io/files": ["io"], "io/magic": ["io"], "io/sql": ["io"], "io/rows": ["io", "io/sql"], "io/ledger": ["io", "io/sql", "io/rows"],
    "flow/admission": [], "flow/completion": ["flow/admission"], "flow": ["flow/admission", "flow/completion"], "flow/direct": ["flow", "flow/completion"],
    "flow/resume": ["flow", "flow/completion", "flow/direct"],
    "front/endpoints": ["front"], "front/clients": ["front"], "front": ["front/endpoints", "front/clients"],
    "app/config": [], "app/webhooks": ["app/config"], "app/stores": ["app/config", "app/webhooks"],
    "app/setup": ["app/config", "app/doctor", "app/stores"], "app/doctor": ["app", "app/config", "app/setup", "app/stores", "app/webhooks"],
    "app": ["app/config", "app/doctor", "app/setup", "app/stores", "app/webhooks"],
}

# What the use cases and the HTTP side may know of the outside world: contracts and the tools of coroutines, no store and no
# database. app/storage puts the real ones in their place.
IO_FOR = {
    "flow": {"io/tasks", "io/allowance", "io/byte_source", "io/store", "io/store_abilities", "io/multipart_store", "io/multipart_journal", "io/type_finder", "io/shared/shared_head", "io/ledger", "io/aws/credentials", "io/aws/sns", "io/auth/token_keys", "io/auth/forward_auth", "io/net/http_client"},
    "front": {"io/tasks", "io/allowance", "io/byte_source", "io/ledger", "io/net/wire", "io/net/body_reader"},
}
# Sources without a header of their name: parts of a larger unit, and the compilation of Asio.
PARTS = {
    "app/doctor/ability_checks", "app/doctor/key_remedies", "app/doctor/probes", "app/setup/setup_command", "base/crc64nvme", "base/running_digest", "io/asio",
    "io/aws/credential_sources", "io/aws/sts", "io/s3/s3_operations", "io/s3/s3_retry",
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


def include_lines(text):
    """Each line that includes something, in whatever spelling."""
    return [line.strip() for line in text.splitlines() if re.match(r"\s*#\s*(include|import)", line)]


def included(line, folder):
    """What a line includes: "postern/io/store" for a header of ours, "" for another one; None if the spelling is none that the
    readers of this code, and the tests below, look for. A name in quotes is a private header beside the file."""
    if ours := re.fullmatch(r"#include <(postern/[\w/]+)\.hpp>", line):
        return ours[1] if os.path.exists(os.path.join(ROOT, "include", ours[1] + ".hpp")) else None
    if beside := re.fullmatch(r'#include "(\w+\.hpp)"', line):
        return "" if os.path.exists(os.path.join(folder, beside[1])) else None
    return "" if re.fullmatch(r"#include <(?!postern)[\w+-]+(/[\w+-]+)*(\.h|\.hpp)?>( //.*)?", line) else None


def unit_of(path):
    """"io/net/wire" for the header or the source of that unit."""
    return os.path.splitext(os.path.relpath(path, ROOT).replace("include/postern/", "src/"))[0].removeprefix("src/")


def includes():
    """Each include of ours: the unit that includes and the one that is included, as "io/net/wire"."""
    for path in files("include/postern", "src"):
        if "/" in (unit := unit_of(path)):  # not main
            for line in include_lines(text_of(path)):
                if used := included(line, os.path.dirname(path)):
                    yield unit, used.removeprefix("postern/")


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
    def test_includes_have_one_spelling(self):
        here = os.path.join(ROOT, "src/io/s3")
        for line in ('#include "postern/flow/sign.hpp"', "# include <postern/io/store.hpp>", "#include  <postern/io/store.hpp>", "#include_next <postern/io/store.hpp>",
                     "#include <postern/core/../flow/sign.hpp>", "#include <postern/io/store.h>", "#include <postern/io/none.hpp>", '#include "../files/file_root.hpp"',
                     '#include "none.hpp"', '#include "boost/asio.hpp"', "#import <postern/io/store.hpp>", "#include <../src/io/s3/s3_call.hpp>"):
            self.assertEqual(include_lines("int a;\n  " + line + "\n"), [line])
            self.assertIsNone(included(line, here), line)
        self.assertEqual(included("#include <postern/io/store.hpp>", here), "postern/io/store")
        self.assertEqual([included(line, here) for line in ('#include "s3_call.hpp"', "#include <boost/asio/write.hpp>", "#include <toml++/toml.h>", "#include <map>")], [""] * 4)
        for path in files("include/postern", "src"):
            for line in include_lines(text_of(path)):
                self.assertIsNotNone(included(line, os.path.dirname(path)), f"{path}: {line}")

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

    def test_flow_and_front_know_the_outside_world_by_its_contracts(self):
        for unit, used in includes():
            allowed = IO_FOR.get(unit.split("/")[0])
            if allowed is not None and used.startswith("io/"):
                self.assertIn(used, allowed, f"{unit} includes {used}")

    def test_a_test_uses_no_floor_above_its_own_and_no_private_header(self):
        for path in files(*("tests/" + floor for floor in FLOORS)):
            floor = os.path.relpath(path, ROOT).split("/")[1]
            for line in include_lines(text_of(path)):
                used = re.match(r"#include <postern/(\w+)/", line)
                self.assertTrue(used or "postern/" not in line, f"{path}: {line}")
                self.assertNotIn("..", line, path)
                if used:
                    self.assertLessEqual(FLOORS.index(used[1]), FLOORS.index(floor), f"{path}: {line}")

    def test_headers_sources_and_tests_have_the_same_rooms(self):
        units = {unit_of(path) for path in files("include/postern")}
        for path in files("src"):
            unit = unit_of(path)
            if path.endswith(".cpp") and "/" in unit and unit not in units and not os.path.exists(path[:-4] + ".hpp"):
                self.assertIn(unit, PARTS, "a source without a header of its name")
        for path in files(*("tests/" + floor for floor in FLOORS)):
            self.assertIn(os.path.relpath(os.path.dirname(path), os.path.join(ROOT, "tests")), ROOMS, path)

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
            unit = unit_of(path)
            if "/" in unit and unit not in PARTS:
                rooms.setdefault(os.path.dirname(unit), set()).add(unit)
        for room, units in rooms.items():
            self.assertLessEqual(len(units), 12, f"{room}: {sorted(units)}")
        self.assertEqual(sorted(rooms), sorted(ROOMS))

    def test_the_lower_floors_know_no_network_no_files_and_no_clock(self):
        for path in files("include/postern/core", "src/core"):
            self.assertNotRegex(text_of(path), r"<boost/(asio|beast)|<sys/|<(fstream|filesystem|unistd\.h|fcntl\.h|thread)>|(system|steady)_clock::now", path)
        for path in files("include/postern/base", "src/base"):
            self.assertNotRegex(text_of(path), r"<boost/(asio|beast)|<sys/socket", path)
        for path in files("include/postern/flow", "src/flow"):
            self.assertNotRegex(text_of(path), r"<boost/beast|http::", path)

    def test_every_header_says_what_it_is(self):
        for path in files("include/postern"):
            self.assertTrue(text_of(path).startswith("// "), path)

    def test_nothing_is_detached_or_left_for_later(self):
        for path in files("include", "src", "tests", "bench"):
            self.assertNotRegex(text_of(path), r"asio::detached|asio::detail|shared_from_this|\bTODO\b|\bFIXME\b", path)

    def test_the_top_level(self):
        if not os.path.exists(os.path.join(ROOT, ".git")):
            self.skipTest("not a checkout")
        names = subprocess.run(["git", "-C", ROOT, "ls-tree", "--name-only", "HEAD"], capture_output=True, text=True, check=True).stdout.split()
        allowed = {"CMakeLists.txt", "README.md", "conf", "include", "src", "tests", "bench"}
        self.assertEqual([n for n in names if not n.startswith(".") and n not in allowed], [])


if __name__ == "__main__":
    whole.main()
