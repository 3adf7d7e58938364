"""tally.py junit FILE | tally.py meson LOGS: prints `PASSED FAILED SKIPPED`.

LOGS is the path of meson's testlog without its endings. A test program that ends badly without a
failed case in its report (it crashed, or was too slow) is one failure more.
"""

import json
import sys
import xml.etree.ElementTree as xml


def cases(suite):
    """(passed, failed, skipped) of the test cases below an element."""
    passed = failed = skipped = 0
    for case in suite.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            skipped += 1
        else:
            passed += 1
    return [passed, failed, skipped]


def of_meson(logs):
    suites = {}
    for suite in xml.parse(logs + ".junit.xml").getroot().iter("testsuite"):
        suites[suite.get("name")] = cases(suite)
    reported = [sum(column) for column in zip(*suites.values())] or [0, 0, 0]
    ended_badly = 0
    with open(logs + ".json", encoding="utf-8") as lines:
        ended_badly = sum(json.loads(line)["result"] in ("FAIL", "TIMEOUT", "ERROR", "INTERRUPT")
                          for line in lines)
    reported[1] = max(reported[1], ended_badly)
    return reported


def main():
    kind, path = sys.argv[1:]
    print(*(of_meson(path) if kind == "meson" else cases(xml.parse(path).getroot())))


main()
