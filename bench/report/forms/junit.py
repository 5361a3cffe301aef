"""A verdict as JUnit XML: every gated cell is a test case, pinned queries are one more."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.records import Verdict
from bench.report.blocks import plain

LONGEST = 4000
"""Characters of a sentence; the errors of a whole file stand in one."""


def _clean(text: str) -> str:
    """One line that XML can hold and that no viewer or terminal obeys."""
    return plain(text, LONGEST)


def document(verdict: Verdict) -> str:
    """JUnit XML: fail is `failure`; inconclusive is `skipped` where the policy warns, `failure` where it blocks."""
    suite = ElementTree.Element("testsuite", name="bench gate")
    blocked = verdict.policy.on_inconclusive == "block"
    failures = skipped = 0
    for cell in verdict.cells:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_clean(f"gate.{cell.role}.{cell.query_set}"),
            name=_clean(cell.name),
        )
        if cell.outcome == "fail" or (cell.outcome == "inconclusive" and (blocked or cell.softened)):
            failures += 1
            found = ElementTree.SubElement(case, "failure", type=cell.outcome, message=_clean(cell.reason))
            found.text = _clean(cell.reason)
        elif cell.outcome == "inconclusive":
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=_clean(cell.reason))
        ElementTree.SubElement(case, "system-out").text = _clean(cell.reason)
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=f"gate.{check.kind}", name=_clean(check.name))
        if check.outcome == "fail" or (check.outcome == "inconclusive" and blocked):
            failures += 1
            ElementTree.SubElement(case, "failure", type=check.outcome, message=_clean(check.reason))
        elif check.outcome == "inconclusive":
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=_clean(check.reason))
        ElementTree.SubElement(case, "system-out").text = _clean(check.reason)
    if verdict.n_pinned:
        case = ElementTree.SubElement(suite, "testcase", classname="gate.pinned", name="pinned queries")
        if verdict.pinned_lost:
            failures += 1
            lost = ", ".join(change.query_id for _, change in verdict.pinned_lost)
            message = _clean(f"{len(verdict.pinned_lost)} of {verdict.n_pinned} pinned queries lost documents: {lost}")
            ElementTree.SubElement(case, "failure", type="pinned", message=message[:1000])
    suite.set("tests", str(len(verdict.cells) + len(verdict.checks) + bool(verdict.n_pinned)))
    suite.set("failures", str(failures))
    suite.set("skipped", str(skipped))
    suite.set("errors", "0")
    return _text(suite)


def error_document(code: str, message: str) -> str:
    """JUnit XML of a gate that could not judge: one test case in error."""
    suite = ElementTree.Element("testsuite", name="bench gate", tests="1", failures="0", skipped="0", errors="1")
    case = ElementTree.SubElement(suite, "testcase", classname="gate", name="gate")
    ElementTree.SubElement(case, "error", type=_clean(code), message=_clean(message)).text = _clean(message)
    return _text(suite)


def _text(suite: ElementTree.Element) -> str:
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
