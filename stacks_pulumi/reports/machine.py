"""How do programs read a report, as JSON and as JUnit XML?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from stacks_pulumi.reports.content import Document, clean

__all__ = ["as_json", "as_junit"]


def as_json(data: Mapping[str, Any]) -> str:
    """Return data as JSON for people and programs."""
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def as_junit(document: Document, suite_name: str) -> str:
    """
    Return the report as JUnit XML, which CI systems show: one test for each check.

    The text of a check that did not fail, for instance of a limit that only warns, is the output of a passed test.
    """
    suite = ET.Element("testsuite", name=suite_name)
    for check in document.checks:
        test = ET.SubElement(
            suite, "testcase", classname=clean(f"{suite_name}.{check.group}"), name=clean(check.name)
        )
        text = "\n".join(clean(line) for line in check.text.split("\n"))
        if check.failed:
            ET.SubElement(test, "failure", message=text.partition("\n")[0]).text = text
        elif text:
            ET.SubElement(test, "system-out").text = text
    suite.set("tests", str(len(document.checks)))
    suite.set("failures", str(sum(check.failed for check in document.checks)))
    ET.SubElement(suite, "system-out").text = clean(document.headline)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
