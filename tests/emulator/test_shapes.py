"""Answers that the guide leaves open, in every shape."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.emulator.answers import SHAPES, Open, PlainText, Shapes, render

LIST = Open("clients", [{"name": "default"}], names=["default"])
OBJECT = Open("client", {"name": "phone"}, "VPN client added")
FILE = Open("config", {"client": "default", "config": "[Interface]"}, text="[Interface]")
DONE = Open("result", message="Backup pinned")


@pytest.mark.parametrize(
    ("shape", "answer", "body"),
    [
        ("guide", LIST, {"success": True, "count": 1, "data": [{"name": "default"}]}),
        ("guide", OBJECT, {"success": True, "message": "VPN client added", "data": {"name": "phone"}}),
        ("guide", FILE, {"success": True, "data": {"client": "default", "config": "[Interface]"}}),
        ("guide", DONE, {"success": True, "message": "Backup pinned"}),
        ("bare", LIST, [{"name": "default"}]),
        ("bare", OBJECT, {"name": "phone"}),
        ("bare", DONE, {"message": "Backup pinned"}),
        ("wrapped", LIST, {"success": True, "data": {"clients": [{"name": "default"}]}}),
        ("wrapped", OBJECT, {"success": True, "data": {"client": {"name": "phone"}}}),
        ("wrapped", DONE, {"success": True, "data": {"result": "Backup pinned"}}),
        ("text", FILE, "[Interface]"),
        ("text", DONE, "Backup pinned"),
        ("text", LIST, {"success": True, "count": 1, "data": [{"name": "default"}]}),
        ("strings", LIST, {"success": True, "data": ["default"]}),
        ("strings", FILE, "[Interface]"),
        ("terse", OBJECT, {"success": True}),
        ("terse", DONE, {"success": True}),
        ("terse", FILE, {"success": True, "data": {"client": "default", "config": "[Interface]"}}),
        ("empty", OBJECT, None),
        ("empty", DONE, None),
        ("empty", LIST, {"success": True, "count": 1, "data": [{"name": "default"}]}),
    ],
)
def test_an_answer_has_the_requested_shape(shape: str, answer: Open, body: Any) -> None:
    assert render(answer, shape) == body


def test_only_the_text_shape_is_plain_text() -> None:
    assert isinstance(render(FILE, "text"), PlainText)
    assert not isinstance(render(FILE, "strings"), PlainText)


@pytest.mark.parametrize("wrong", ["round", {"containers.logs": "round"}, {"containers.list": "bare"}])
def test_an_unknown_shape_or_a_fixed_answer_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"no such shape|specifies the answer"):
        Shapes(wrong)


def test_every_shape_has_one_name() -> None:
    answers = [[repr(render(answer, shape)) for answer in (LIST, OBJECT, FILE, DONE)] for shape in SHAPES]

    assert len({tuple(answer) for answer in answers}) == len(SHAPES)
