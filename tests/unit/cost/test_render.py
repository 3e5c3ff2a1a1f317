from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from stacks_pulumi.cost.build import report_of
from stacks_pulumi.cost.report import rest_of_month
from stacks_pulumi.cost.result import CostLimit, CostResult, document_of, judge
from stacks_pulumi.reports import writers as in_text
from stacks_pulumi.reports.writers import LIMIT, as_json, as_junit, comment, marker
from tests.support import previews
from tests.support.golden import Golden
from tests.support.hostile import ALL, faults
from tests.support.previews import BUCKET, UNKNOWN, events, preview, step, web

STEPS = (
    step("create", "new", None, web(UNKNOWN)),
    step("update", "grown", web("basic"), web("premium")),
    step("delete", "gone", web("premium")),
    step("same", "kept", web("micro"), web("micro")),
    step("same", "bucket", {}, {}, BUCKET),
)
HARD = previews.violation("allowed-plans", "grown", "Plans are limited.\ncontainer 'grown' has plan premium.")
NOON = datetime.datetime(2026, 6, 16, tzinfo=datetime.timezone.utc)


def result(*limits: CostLimit, data: bytes | None = None, strict: bool = False) -> CostResult:
    report = report_of(data or events(*STEPS, policies=(HARD,), errors=("preview failed",)))
    return CostResult(report, judge(report, limits), rest_of_month(NOON), strict)


def plain(result: CostResult) -> str:
    return in_text.plain(document_of(result))


def rich_text(result: CostResult, *, width: int, color: bool) -> str | None:
    return in_text.rich_text(document_of(result), width=width, color=color)


def document(result: CostResult) -> str:
    return as_json(document_of(result).data)


def markdown(result: CostResult, name: str = "default") -> str:
    return comment(document_of(result), name)


def junit(result: CostResult) -> str:
    return as_junit(document_of(result), "stacks-pulumi cost")


def html(text: str) -> str:
    return str(MarkdownIt("gfm-like", {"linkify": False}).render(text))


def test_the_documents_for_programs_are_as_recorded(golden: Golden) -> None:
    shown = result(CostLimit("total", Decimal(10), block=True))

    golden.text("cost.txt", plain(shown))
    golden.text("cost.json", document(shown))
    golden.text("cost.md", markdown(shown))
    golden.text("cost.xml", junit(shown))


def test_rich_says_the_same_in_a_frame() -> None:
    shown = replace(document_of(result()), ending="the last line")
    text = in_text.rich_text(shown, width=120, color=False)

    assert text is not None
    assert "│ new " in text
    assert "mandatory policy allowed-plans on grown:" in text
    assert text.endswith("\nthe last line\n")


@pytest.mark.parametrize("width", [68, 80])
def test_a_narrow_terminal_cuts_no_name_and_no_sum(width: int) -> None:
    """Otherwise two names with the same start would look the same, and $1,234.00 would become $1."""
    names = "x" * 60 + "-old", "x" * 60 + "-new"
    shown = result(data=preview(*(step("create", name, None, web(UNKNOWN)) for name in names)))

    text = rich_text(shown, width=width, color=False) or ""

    cells = "".join(line.split("│")[2].strip() for line in text.splitlines() if line.startswith("│"))
    assert all(name in cells for name in names)
    assert text.count("│ $0.00 │ $1.00 or more │ +$1.00 or more │") == 2
    assert "…" not in text


def test_a_terminal_that_is_too_narrow_for_a_frame_gets_none() -> None:
    """Otherwise its name columns would be empty, and $10.00 would become $10.0."""
    shown = result(data=preview(step("create", "x" * 60, None, web("premium"))))

    assert rich_text(shown, width=57, color=False) is None
    assert "┃" in (rich_text(shown, width=58, color=False) or "")
    # A table without rows has no frame, so no terminal is too narrow.
    assert "┃" not in (rich_text(result(data=preview()), width=40, color=False) or "┃")


def test_without_rich_there_is_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)

    assert rich_text(result(), width=120, color=False) is None


def test_so_many_lines_are_not_framed() -> None:
    many = [step("create", f"container-{number}", None, web()) for number in range(501)]

    assert rich_text(result(data=preview(*many)), width=120, color=False) is None


def test_names_are_no_markup_for_rich() -> None:
    shown = result(data=preview(step("create", "[red]web[/nope]", None, web())))

    assert "[red]web[/nope]" in (rich_text(shown, width=120, color=False) or "")


def test_every_form_says_what_a_replacement_takes_from_the_cap() -> None:
    shown = result(data=preview(step("replace", "db", web("premium"), web("premium"))))

    for text in (plain(shown), rich_text(shown, width=200, color=False) or "", document(shown)):
        assert "charged to the key's spending cap again: 'db' +$10.00" in text
    assert "charged to the key's spending cap again: 'db' +$10.00" in html(markdown(shown))


def test_dollars_begin_no_mathematics() -> None:
    assert not re.search(r"(?<!\\)\$", markdown(result()))


@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]),
        min_size=1,
        max_size=30,
    )
)
def test_a_name_from_the_program_is_never_markup(name: str) -> None:
    hostile = f"{name}|<img src=x>`a`[b](http://c)*d*"

    page = html(markdown(result(data=preview(step("create", hostile, None, web())))))

    assert "<img" not in page
    assert "<a " not in page
    assert "<code>" not in page
    assert "<em>" not in page
    assert page.count("<tr>") == 2


@pytest.mark.parametrize(
    "link",
    [
        *("@everyone", "me@example.com", "#12", "octo/repo#1", "(#1)", "GH-5", "gh-5"),
        *(
            "https://example.com",
            "x.https://example.com",
            "ftp://example.com",
            "www.example.com",
            "WWW.example.com",
        ),
        *("a5c3785ed8d6a35868bc169f07e40e889087fd2e", "a5c3785", "octo/repo@a5c3785", ":tada:", ":+1:"),
    ],
)
def test_a_message_has_no_mention_and_no_link(link: str) -> None:
    """This also holds without the escapes, because GitHub removes them before it searches for mentions and links."""
    message = f"first {link}\nthen {link}"
    shown = markdown(
        result(
            data=events(step("create", link, None, web()), policies=(previews.violation("p", link, message),))
        )
    )

    assert link not in shown
    read = html(shown)
    assert link not in read
    assert not re.search(r"(?i)[@#]\w|://|www\.|gh-\d|:[a-z0-9_+-]+:|\b[0-9a-f]{7,40}\b", read)


def test_a_word_stays_a_word() -> None:
    for name in ("facade", "deadbeefs", "database-1234567x", "shop-dev", "a@", "c#"):
        assert name.replace("#", "\\#") in markdown(result(data=preview(step("create", name, None, web()))))


@pytest.mark.parametrize(
    "begins", ["---", "===", "- x", "= x", "# x", "> x", "1. x", "12) x", "+ x", "* x", "~~~", "| x |"]
)
def test_no_line_of_a_message_begins_anything(begins: str) -> None:
    hard = previews.violation("p", "new", f"first\n{begins}\nlast")

    read = html(markdown(result(data=events(step("create", "new", None, web()), policies=(hard,)))))

    item = read[read.index("<h4>Policies</h4>") : read.index("<sub>")]
    assert not re.search(r"<(h1|h2|hr|ol|blockquote|pre|table)", item)
    assert item.count("<ul>") == item.count("<li>") == 1


@pytest.mark.parametrize("name", ["a --> b", "--", "<!--", "x\ny"])
def test_a_marker_cannot_be_broken_out_of(name: str) -> None:
    found = re.fullmatch(r"<!-- stacks-pulumi cost: ([A-Za-z0-9_./%-]+) -->", marker(name))
    assert found
    assert "--" not in found[1]
    assert "--" not in marker(name)[4:-3]


def test_a_change_without_cost_says_that_it_stays() -> None:
    assert plain(result(data=preview(step("same", "kept", web(), web())))).startswith(
        "The monthly cost stays at $4.00."
    )


def test_a_preview_that_could_not_be_priced_says_no_sum_that_stays() -> None:
    shown = result(
        CostLimit("total", Decimal(100), block=True), data=preview(errors=("Program failed:\nTraceback",))
    )

    for text in (plain(shown), markdown(shown)):
        assert "Incomplete: The monthly cost after this change is not known: " in text
        assert "stays" not in text
        assert "within" not in text


def test_a_stack_has_one_column() -> None:
    text = plain(result(data=previews.export(previews.state("web", web()))))

    assert text.startswith("The stack costs $4.00 a month.")
    assert "Planned" not in text
    assert "the rest of this month: about $2.00" in text


@pytest.mark.parametrize(
    ("data", "limits", "strict", "code"),
    [
        (preview(step("create", "new", None, web())), (), False, 0),
        (preview(step("create", "new", None, web())), (CostLimit("total", Decimal(4), block=True),), True, 0),
        (
            preview(step("create", "new", None, web())),
            (CostLimit("total", Decimal(3), block=False),),
            True,
            0,
        ),
        (
            preview(step("create", "new", None, web())),
            (CostLimit("total", Decimal(3), block=True),),
            False,
            2,
        ),
        (preview(step("create", "new", None, web(UNKNOWN))), (), False, 0),
        (preview(step("create", "new", None, web(UNKNOWN))), (), True, 3),
        (
            preview(step("create", "new", None, web(UNKNOWN))),
            (CostLimit("total", Decimal(3), block=True),),
            True,
            2,
        ),
        (preview(same=9), (CostLimit("total", Decimal(3), block=True),), True, 1),
        (events(policies=(HARD,), errors=("preview failed",)), (), False, 2),
        (preview(errors=("preview failed",)), (), False, 2),
        (preview(errors=("boom",)), (), False, 1),
    ],
)
def test_the_exit_code_shows_the_result(
    data: bytes, limits: tuple[CostLimit, ...], strict: bool, code: int
) -> None:
    assert result(*limits, data=data, strict=strict).exit_code == code


def many(rows: int, name: str = "container-{}") -> bytes:
    steps = [
        step("create", name.format(number), None, web("premium" if number == rows - 1 else "micro"))
        for number in range(rows)
    ]
    violations = [
        previews.violation("allowed-plans", name.format(number), "Plans are limited.\n" + "too large " * 20)
        for number in range(rows)
    ]
    return previews.events(*steps, policies=tuple(violations), errors=("preview failed",))


@pytest.mark.parametrize("rows", [3, 500])
@pytest.mark.parametrize("name", ["container-{}", "日本-{}" + "é" * 200])
def test_comment_fits_with_the_largest_rows_and_a_count_of_the_rest(rows: int, name: str) -> None:
    text = markdown(CostResult(report_of(many(rows, name))), "shop/dev")

    assert len(text.encode()) <= LIMIT
    # The most expensive container, which the program declares last.
    assert "| nodejs, premium |" in text
    assert text.endswith("before discount codes.</sub>\n")
    if rows > 100:
        shown = text.count("| new |")
        assert shown > 0
        assert f"and {rows - shown} more" in text


@pytest.mark.parametrize("names", [("é", "日本"), ("a b", "a-b"), ("a--b", "a-%2Db"), ("", "-")])
def test_no_two_names_have_one_marker(names: tuple[str, str]) -> None:
    assert marker(names[0]) != marker(names[1])


def test_name_cannot_forge_a_row_or_erase_one() -> None:
    forged = "web\n   Total  $0.00\x1b[2K\r\u202e"
    result = CostResult(report_of(previews.preview(step("create", forged, None, web()))))

    for text in (plain(result), rich_text(result, width=300, color=False) or "", markdown(result)):
        assert not {"\x1b", "\r", "\u202e"} & set(text)
        assert not any(line.lstrip().startswith("Total  $0.00") for line in text.splitlines())
    assert "web\\n \\x20\\x20Total \\x20$0.00\\x1b[2K\\r\\u202e" in plain(result)


@pytest.mark.parametrize("form", [plain, markdown, junit, lambda it: rich_text(it, width=900, color=False)])
def test_no_text_of_a_violation_is_carried_out(form: Callable[[CostResult], str]) -> None:
    violation = previews.violation(ALL, ALL, ALL, level=ALL, pack=ALL)

    shown = form(result(data=events(*STEPS, policies=(violation,))))

    assert "teamcity" in shown
    assert faults(shown, breaks="\u200b" if form is markdown else "") == []


def test_junit_fails_where_the_exit_code_is_not_0() -> None:
    limits = (CostLimit("total", Decimal(5), block=True), CostLimit("increase", Decimal(5), block=False))
    report = report_of(many(3, "n\x1b<&>{}"))

    suite = ET.fromstring(junit(CostResult(report, judge(report, limits), strict=True)))

    failed = [test.attrib["name"] for test in suite if test.find("failure") is not None]
    assert failed == [
        "no mandatory policy is violated",
        "--max-total 5",
        *(f"allowed-plans on n\\x1b<&>{number}" for number in range(3)),
    ]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("8", "5")
    calm = ET.fromstring(junit(CostResult(report_of(previews.preview(step("create", "a", None, web()))))))
    assert calm.attrib["failures"] == "0"
