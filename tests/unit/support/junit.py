# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML as Jenkins, GitLab and GitHub's report actions read it: the rules of junit-10.xsd that concern us."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Tree

_COUNTS = {"tests", "failures", "errors"}
# element: (attributes it must have, attributes it may have, children it may have)
_RULES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", *_COUNTS}, {"testsuite"}),
    "testsuite": ({"name", "tests"}, {"timestamp", "hostname", "skipped", "time", *_COUNTS}, {"testcase", "properties"}),
    "testcase": ({"name"}, {"classname", "time"}, {"failure", "error", "skipped", "system-out", "system-err"}),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def problems_of(text: bytes) -> list[str]:
    """Return what is wrong with a JUnit document: unknown elements or attributes, wrong counts, times that are none."""
    root = Tree.fromstring(text)
    found = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for element in root.iter():
        must, may, children = _RULES.get(element.tag, (set(), set(), set()))
        names = set(element.attrib)
        found += [f"{element.tag} without {name}" for name in must - names]
        found += [f"{element.tag} with {name}" for name in names - must - may]
        found += [f"{child.tag} in {element.tag}" for child in element if child.tag not in children]
        time = element.get("time")
        if time is not None and not re.fullmatch(r"\d+\.\d{3}", time):
            found.append(f"time {time}")
    for suite in root.findall("testsuite"):
        found += _wrong_counts(suite)
    return found


def _wrong_counts(suite: Tree.Element) -> list[str]:
    cases = suite.findall("testcase")
    real = {"tests": len(cases)}
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        real[name] = sum(1 for case in cases if case.find(tag) is not None)
    return [f"{name} is {suite.get(name)}, counted {count}" for name, count in real.items() if suite.get(name) != str(count)]
