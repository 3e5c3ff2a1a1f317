"""The report as JUnit XML, which CI systems show: one test for each limit and each violated policy."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from stacks_pulumi.cost.render.shared_text import CostResult, clean, headline, not_exact

__all__ = ["junit"]

_SUITE = "stacks-pulumi cost"


def junit(result: CostResult) -> str:
    """
    Return the report as JUnit XML. A test fails if and only if its result makes the exit code nonzero.

    An advisory violation, or a limit that only warns, is a passed test with its text as output.
    """
    report = result.report
    suite = ET.Element("testsuite", name=_SUITE)
    # Always there, so that a report without limits has a test too.
    _test(suite, "preview", "the figures are complete", report.incomplete, failed=bool(report.incomplete))
    _test(suite, "preview", "no mandatory policy is violated", report.blocked, failed=bool(report.blocked))
    for verdict in result.verdicts:
        limit = verdict.limit
        name = f"--{'max' if limit.block else 'warn'}-{limit.measure} {limit.most:f}"
        _test(suite, "limits", name, verdict.text, failed=limit.block and not verdict.passed)
    if result.strict:
        _test(suite, "limits", "--strict", not_exact(report), failed=bool(report.unknown))
    for found in report.violations:
        name = f"{found.policy} on {found.resource}"
        _test(suite, f"policies.{found.pack}", name, found.message, failed=found.level == "mandatory")
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(sum(test.find("failure") is not None for test in suite)))
    ET.SubElement(suite, "system-out").text = clean(headline(report))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _test(suite: ET.Element, group: str, name: str, text: str, *, failed: bool) -> None:
    test = ET.SubElement(suite, "testcase", classname=clean(f"{_SUITE}.{group}"), name=clean(name))
    text = "\n".join(clean(line) for line in text.split("\n"))
    if failed:
        ET.SubElement(test, "failure", message=text.partition("\n")[0]).text = text
    elif text:
        ET.SubElement(test, "system-out").text = text
