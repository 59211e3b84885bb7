"""Turns the JUnit file that ctest writes into lines of tests/run's table of results, and shows the output of failed tests.

    junit.py STAGE FILE

A test that passes may have skipped some of its cases. It prints a line "SKIPPED: CASE: REASON" for each, and each becomes a line of the table.
A test that skips everything ends with exit code 77 and prints "SKIPPED: REASON".
"""

import re, sys
import xml.etree.ElementTree as xml

MAX_LINES = 80  # of the output of one failed test


def rows(stage, suite):
    for case in suite.iter("testcase"):
        name, seconds = case.get("name"), float(case.get("time") or 0)
        output = case.findtext("system-out") or ""
        reasons = re.findall(r"^SKIPPED: (.*)$", output, re.M)
        skipped = case.find("skipped")
        if case.get("status") == "run":
            yield stage, "passed", seconds, name, ""
            yield from ((stage, "skipped", 0, name, reason) for reason in reasons)
        elif skipped is not None and "SKIP" in skipped.get("message", ""):
            yield stage, "skipped", seconds, name, "; ".join(reasons) or output.strip().rpartition("\n")[2] or "no reason given"
        else:
            failure = case.find("failure")
            why = (skipped if failure is None else failure)
            print(f"--- {stage}: {name} failed; the end of its output:", *output.rstrip().split("\n")[-MAX_LINES:], sep="\n", file=sys.stderr)
            yield stage, "failed", seconds, name, "" if why is None else why.get("message", "")


if __name__ == "__main__":
    for row in rows(sys.argv[1], xml.parse(sys.argv[2]).getroot()):
        print(*(re.sub(r"[\t\n]", " ", str(field)) for field in row), sep="\t")
