"""The floors are true: a floor includes only those below it; the top level has only what it may have."""

import os, re, subprocess, sys, unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FLOORS = ["base", "core", "io", "flow", "front", "app"]


def files(*folders):
    for folder in folders:
        for path, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in sorted(names):
                if name.endswith((".hpp", ".cpp")):
                    yield os.path.join(path, name)


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


class House(unittest.TestCase):
    def test_a_floor_uses_only_those_below(self):
        seen = 0
        for path in files("include/postern", "src"):
            floor = os.path.relpath(path, ROOT).replace("include/postern/", "src/").split("/")[1]
            if floor not in FLOORS:
                continue
            for used in re.findall(r"#include <postern/(\w+)/", text_of(path)):
                seen += 1
                self.assertLessEqual(FLOORS.index(used), FLOORS.index(floor), f"{path} includes {used}")
        self.assertGreater(seen, 50)

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
        if not os.path.isdir(os.path.join(ROOT, ".git")):
            self.skipTest("not a checkout")
        names = subprocess.run(["git", "-C", ROOT, "ls-tree", "--name-only", "HEAD"], capture_output=True, text=True).stdout.split()
        allowed = {"CMakeLists.txt", "README.md", "conf", "include", "src", "tests", "bench"}
        self.assertEqual([n for n in names if not n.startswith(".") and n not in allowed], [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
