"""A verdict as JUnit XML: every comparison and rule is a test case, the pinned queries are one more."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.records import Verdict
from bench.report.text import plain

LONGEST = 4000
"""Characters of a sentence; the errors of a whole file are one sentence."""


def document(verdict: Verdict) -> str:
    """JUnit XML: fail is `failure`; inconclusive is `skipped` where the policy warns, `failure` where it blocks."""
    suite = ElementTree.Element("testsuite", name="bench gate")
    blocked = verdict.policy.on_inconclusive == "block"
    rows = [(f"gate.{c.role}.{c.query_set}", c.name, c.outcome, c.reason, c.softened) for c in verdict.cells]
    rows += [(f"gate.{c.kind}", c.name, c.outcome, c.reason, False) for c in verdict.limits]
    for group, name, outcome, reason, softened in rows:
        case = ElementTree.SubElement(suite, "testcase", classname=_clean(group), name=_clean(name))
        if outcome == "fail" or (outcome == "inconclusive" and (blocked or softened)):
            ElementTree.SubElement(case, "failure", type=outcome or "", message=_clean(reason)).text = _clean(reason)
        elif outcome == "inconclusive":
            ElementTree.SubElement(case, "skipped", message=_clean(reason))
        ElementTree.SubElement(case, "system-out").text = _clean(reason)
    if verdict.n_pinned:
        case = ElementTree.SubElement(suite, "testcase", classname="gate.pinned", name="pinned queries")
        if verdict.pinned_lost:
            lost = ", ".join(change.query_id for _, change in verdict.pinned_lost)
            message = _clean(f"{len(verdict.pinned_lost)} of {verdict.n_pinned} pinned queries lost documents: {lost}")
            ElementTree.SubElement(case, "failure", type="pinned", message=message[:1000])
    for key, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped"), ("errors", "error")):
        suite.set(key, str(len(list(suite.iter(tag)))))
    return _text(suite)


def error_document(code: str, message: str) -> str:
    """JUnit XML of a gate that could not compare: one test case in error."""
    suite = ElementTree.Element("testsuite", name="bench gate", tests="1", failures="0", skipped="0", errors="1")
    case = ElementTree.SubElement(suite, "testcase", classname="gate", name="gate")
    ElementTree.SubElement(case, "error", type=_clean(code), message=_clean(message)).text = _clean(message)
    return _text(suite)


def _clean(text: str) -> str:
    return plain(text, LONGEST)


def _text(suite: ElementTree.Element) -> str:
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
