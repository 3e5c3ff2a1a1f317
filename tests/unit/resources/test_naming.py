"""The default name of a container, which a pattern forms from the resource's name."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi._identifiers import name_of, stack_and_project
from stacks_pulumi.config import check_name_pattern
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.resources._naming import (
    DEFAULT_NAME,
    NAME_PATTERN,
    default_container_name,
    how_to_rename,
    named,
    valid_container_name,
)
from stacks_pulumi.resources._validators import container_name

PATTERN = "${name}-${stack}"
URN = "urn:pulumi:dev::shop::pulumi-python:dynamic/stacks:Container::web"
BY_DEFAULT = {"name": "web", DEFAULT_NAME: {"organization": "acme"}}
ANY_PATTERN = st.sampled_from(
    ["${name}", PATTERN, "${stack}-${name}", "${organization}-${project}-${name}-x", "a${name}${name}"]
)
WORD = st.text(min_size=1, max_size=50)


def shaped(pattern: str, name: str, stack: str = "dev") -> str:
    return default_container_name(pattern, name=name, stack=stack, project="shop", organization="acme")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        (PATTERN, "web", "web-dev"),
        ("${project}-${stack}-${name}", "web", "shop-dev-web"),
        ("${organization}-${name}", "Web", "acme-Web"),
        ("t1-${name}", "web", "t1-web"),
        # 32 characters fit.
        (PATTERN, "a" * 28, "a" * 28 + "-dev"),
    ],
)
def test_expressions_are_replaced_and_a_valid_name_is_unchanged(
    pattern: str, name: str, expected: str
) -> None:
    assert shaped(pattern, name) == expected


def test_a_long_name_is_shortened_in_front_of_the_stack() -> None:
    name = shaped(PATTERN, "a-very-long-name-of-a-container-one")

    assert re.fullmatch(r"a-very-long-name-of-a-dev-[0-9a-f]{6}", name)
    assert len(name) == 32


def test_names_that_differ_only_at_the_end_stay_different() -> None:
    names = {shaped(PATTERN, "x" * 40 + end, stack) for end in "ab" for stack in ("dev", "prod")}

    assert len(names) == 4


def test_a_stack_that_leaves_no_room_for_the_name_is_cut_too() -> None:
    names = {shaped("${stack}-${name}", name, "s" * 60) for name in ("web", "shop")}

    assert len(names) == 2
    assert all(container_name(name) for name in names)


def test_a_digest_is_part_of_the_interface_and_never_changes() -> None:
    # A different digest would change the name of every container that is created again.
    assert shaped(PATTERN, "orders_db") == "orders-db-dev-df8165"
    assert valid_container_name("é") == "4a9955"


@given(pattern=ANY_PATTERN, name=WORD, stack=WORD)
def test_every_name_is_valid_and_always_the_same(pattern: str, name: str, stack: str) -> None:
    result = shaped(pattern, name, stack)

    assert container_name(result) == result == shaped(pattern, name, stack)


@given(names=st.sets(WORD, min_size=2, max_size=2))
def test_two_resources_never_share_a_name(names: set[str]) -> None:
    assert len({shaped(PATTERN, name) for name in names}) == 2


def test_an_expression_without_a_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"stacks:namePattern .* \$\{organization\} is not known"):
        default_container_name(
            "${organization}-${name}", name="web", stack="dev", project="shop", organization=None
        )
    assert default_container_name(PATTERN, name="web", stack="dev", project=None, organization=None)


def test_a_urn_has_a_stack_a_project_and_a_name_that_may_contain_colons() -> None:
    assert stack_and_project(URN) == ("dev", "shop")
    assert stack_and_project("") == (None, None)
    assert [name_of(urn) for urn in (URN, f"{URN}::two", "")] == ["web", "web::two", ""]


# --- another name for a container whose name is taken ---


@pytest.mark.parametrize(
    ("pattern", "better"),
    [
        (None, "${name}-${stack}"),
        ("${name}-x", "${name}-x-${stack}"),
        ("${project}-${name}", "${project}-${name}-${stack}"),
        ("${stack}-${name}", "${project}-${stack}-${name}"),
    ],
)
def test_the_suggested_pattern_adds_missing_expressions(pattern: str | None, better: str) -> None:
    check_name_pattern(better)
    offered = how_to_rename(pattern, None, by_default=True)
    assert offered.startswith(f"run `pulumi config set stacks:namePattern '{better}'`")
    assert f'write name_pattern="{better}" on the provider "other"' in how_to_rename(
        pattern, "other", by_default=True
    )


@pytest.mark.parametrize(("pattern", "by_default"), [("${project}-${name}-${stack}", True), (None, False)])
def test_no_pattern_is_suggested_if_none_helps(pattern: str | None, by_default: bool) -> None:
    assert how_to_rename(pattern, None, by_default=by_default) == 'write a different name="..."'


# --- which name a container has ---


def test_the_name_of_the_program_stays() -> None:
    assert named(PATTERN, URN, {}, {"name": "web"}) == {NAME_PATTERN: None}


def test_a_default_name_uses_the_pattern_and_stores_it() -> None:
    assert named(PATTERN, URN, {}, BY_DEFAULT) == {"name": "web-dev", NAME_PATTERN: PATTERN}
    assert named(None, URN, {}, BY_DEFAULT) == {NAME_PATTERN: None}


def test_a_container_that_is_older_than_the_pattern_keeps_its_name() -> None:
    assert "name" not in named(PATTERN, URN, {"name": "web"}, BY_DEFAULT)
    # The API may fold the case.
    assert "name" not in named(PATTERN, URN, {"name": "WEB"}, BY_DEFAULT)


@pytest.mark.parametrize("pattern", [None, PATTERN, "${stack}-${name}"])
def test_a_name_stays_when_the_pattern_changes(pattern: str | None) -> None:
    olds = {"name": "web-dev", NAME_PATTERN: PATTERN}

    assert named(pattern, URN, olds, BY_DEFAULT) == olds


def test_a_removed_explicit_name_is_a_refused_change() -> None:
    assert named(PATTERN, URN, {"name": "other"}, BY_DEFAULT)["name"] == "web-dev"


# --- the pattern ---


@pytest.mark.parametrize(
    "pattern", ["${name}", PATTERN, "${organization}-${project}-${stack}-${name}", "a1-${name}"]
)
def test_a_pattern_of_known_expressions_is_accepted(pattern: str) -> None:
    assert check_name_pattern(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("${name}-${hex(4)}", "one of its expressions is random"),
        ("${name}-${uuid}", "one of its expressions is random"),
        ("${nam}", r"an unknown expression; the known ones are \$\{name\}, \$\{stack\}"),
        ("${name}-${config.region}", "an unknown expression"),
        ("${stack}", r"without \$\{name\} all containers would have the same name"),
        ("$name-${name}", r"an expression has the form \$\{name\}"),
        ("${name", r"an expression has the form \$\{name\}"),
        ("{name}-${name}", r"an expression has the form \$\{name\}"),
        ("acme_${name}", "letters, digits and single hyphens"),
        ("${name}--${stack}", "single hyphens"),
        ("-${name}", "single hyphens between them"),
        ("${name}-" + "x" * 16, "it has 17 characters; at most 16"),
    ],
)
def test_a_malformed_pattern_is_an_error_that_names_the_setting(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        check_name_pattern(pattern)

    error = raised.value
    assert error.message.startswith("stacks:namePattern is malformed: ")
    assert (
        pattern not in error.message.removesuffix("'${name}-${stack}' (with single quotes)")
        or len(pattern) < 8
    )
    assert "pulumi config set stacks:namePattern '${name}-${stack}'" in error.message
    assert error.code == "invalid-setting"


def test_every_accepted_pattern_makes_valid_names() -> None:
    values: dict[str, Any] = {"stack": "s" * 100, "project": "p" * 100, "organization": "o" * 100}
    longest = "${name}" + "x" * 16

    assert container_name(default_container_name(longest, name="n" * 100, **values))
