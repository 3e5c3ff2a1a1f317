"""The documentation site: it builds without a warning, has all pages, and loads nothing from other hosts."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import stacks_pulumi
from stacks_pulumi.resources.handlers import HANDLERS
from tools.docs.functions import names
from tools.site.loads import loaded_from_elsewhere
from tools.site.places import Places, slug
from tools.site.tables import labelled

ROOT: Final = Path(__file__).parents[2]

LINKED: Final = [
    *("README.md", ".github/CONTRIBUTING.md", "docs/index.md", "docs/bench.md", "docs/policies.md"),
    *("docs/resources/container.md", "examples/README.md", "examples/quickstart/README.md"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "tools/site", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


def text(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_resource_function_and_example_has_its_page(site: Path) -> None:
    examples = [path.parent.name for path in ROOT.glob("examples/*/README.md")]

    assert len(list((site / "resources").glob("*.html"))) == len(HANDLERS) + len(["Provider", "index"])
    assert {path.stem for path in (site / "functions").glob("*.html")} == set(names())
    assert {path.stem for path in (site / "examples").glob("*.html")} == {*examples, "index"}
    assert len(examples) > 10


def test_the_reference_has_every_public_name(site: Path) -> None:
    page = (site / "api/resources.html").read_text(encoding="utf-8")
    functions = (site / "api/functions.html").read_text(encoding="utf-8")

    for name in stacks_pulumi.__all__:
        module, found = ("stacks_pulumi", page)
        if name.startswith(("get_", "list_")):
            module, found = ("stacks_pulumi.functions", functions)
        assert f'id="{module}.{name}"' in found, name
    assert "replace_on_change" in text(site / "api/resources.html")


def test_a_page_of_a_function_has_its_arguments_result_and_call(site: Path) -> None:
    page = text(site / "functions/get_credentials.html")

    for part in (
        "container_id",
        "provider",
        "password",
        "GET /containers/{container_id}/credentials",
        "containers:read",
    ):
        assert part in page, part


def test_an_example_shows_its_files(site: Path) -> None:
    page = text(site / "examples/vpn_for_a_laptop.html")

    for file in ("__main__.py", "Pulumi.yaml"):
        assert (ROOT / "examples/vpn_for_a_laptop" / file).read_text(encoding="utf-8").splitlines()[
            -1
        ] in page


def test_each_cell_of_a_row_says_its_column_on_a_phone(site: Path) -> None:
    page = (site / "resources" / "container.html").read_text(encoding="utf-8")

    assert '<td data-label="A change">refused</td>' in page


def test_the_search_finds_an_error_by_its_words(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    found = {it["location"].partition("#")[0] for it in index["docs"] if "spending cap" in it["text"]}

    assert {"errors.html", "resources/container.html"} <= found


def test_the_search_finds_the_section_of_a_code_and_a_task_first(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    boost = {it["location"]: it.get("boost", 1) for it in index["docs"]}

    assert boost["errors.html#spending-cap"] > boost["examples/capped_agent.html"]
    assert boost["resize.html"] > boost["scale.html"] > boost["api/emulator.html"]


def test_the_search_finds_a_setting_and_a_class_by_their_own_names(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    words = re.split(
        index["config"]["separator"], '`stacks:namePattern` pulumi.StackReference("a") faults.add'
    )

    assert {"namePattern", "StackReference", "faults.add"} <= set(words)


def test_a_title_has_the_word_that_people_search_for(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    titled = {
        (it["location"].partition("#")[0], word) for it in index["docs"] for word in it["title"].split()
    }

    assert titled >= {
        ("rotate-a-key.html", "Rotate"),
        ("deploy-your-code.html", "Deploy"),
        ("resize.html", "Resize"),
        ("policies.html", "budget"),
        ("guards.html", "budget"),
        ("stop-an-agent.html", "Revoke"),
        ("functions.html", "password"),
        ("state.html", "Rename"),
        ("account.html", "owns"),
    }


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ('<script src="https://cdn.example/x.js">', ["https://cdn.example/x.js"]),
        ("<img alt=x src=//example/x.png>", ["//example/x.png"]),
        ('<link href="https://fonts.example/css" rel="stylesheet">', ["https://fonts.example/css"]),
        ('<link rel="canonical" href="https://example.com/page.html">', []),
        ('<a href="https://example.com">', []),
        ('<script src="assets/x.js">', []),
    ],
)
def test_a_page_that_loads_from_another_host_is_found(tag: str, found: list[str]) -> None:
    assert loaded_from_elsewhere(f"<html><head>{tag}</head></html>") == found


def test_a_cell_has_the_title_of_its_column() -> None:
    page = (
        '<table>\n<thead>\n<tr>\n<th>A <code>x</code></th>\n<th style="text-align: right;">B "y"</th>\n'
        "<th></th>\n</tr>"
        '\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n<td style="text-align: right;">2</td>\n<td>3</td>\n</tr>'
        "\n</tbody>\n</table>"
        '<table class="highlighttable"><tr><td>code</td></tr></table>'
    )

    cells = re.findall(r"<td[^>]*>", labelled(page))

    assert cells == [
        '<td data-label="A x">',
        '<td data-label="B &quot;y&quot;" style="text-align: right;">',
        '<td data-label="">',
        "<td>",
    ]


def test_a_printed_table_is_marked_and_an_error_is_not() -> None:
    block = '<div class="language-text highlight"><pre><code>{}</code></pre></div>'
    table, error = (
        block.format("Name  A month\n----  -------\n"),
        block.format("error: one --option that is long"),
    )

    assert labelled(error + table) == error + table.replace("language-text", "language-text printed-table")


def test_a_broken_link_is_an_error() -> None:
    places = Places(ROOT, ["docs/index.md"])

    with pytest.raises(
        LookupError, match=r"links to docs/missing\.md, which is neither a page of the site nor a file"
    ):
        places.moved("[gone](missing.md)", "docs/index.md")


@pytest.mark.parametrize(
    ("source", "link", "moved"),
    [
        ("docs/index.md", "../examples/README.md#run-one", "examples/index.md#run-one"),
        ("docs/resources/container.md", "../../examples/quickstart", "../examples/quickstart.md"),
        ("examples/quickstart/README.md", "../../docs/policies.md", "../policies.md"),
        (".github/CONTRIBUTING.md", "../README.md", "../index.md"),
        ("docs/index.md", "https://example.com/x.md", "https://example.com/x.md"),
        ("README.md", "docs/images/request.svg", "images/request.svg"),
        ("docs/bench.md", "../Makefile", "files/Makefile"),
    ],
)
def test_a_link_leads_to_the_same_page_in_the_site(source: str, link: str, moved: str) -> None:
    assert Places(ROOT, LINKED).moved(f"[x]({link})", source) == f"[x]({moved})\n"


def test_a_link_in_a_block_of_code_is_not_changed() -> None:
    page = "````md\n```\n[x](missing.md)\n```\n````\n"

    assert Places(ROOT, ["docs/index.md"]).moved(page, "docs/index.md") == page


def test_an_anchor_is_the_one_of_github() -> None:
    assert slug("402, 403, 503") == "402-403-503"
    assert slug("`download.py`") == "downloadpy"
