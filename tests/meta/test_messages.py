"""Every error that reaches a user ends with its code. The other errors are listed here."""

from __future__ import annotations

import ast
import collections
import typing
from typing import Final

import pytest

from stacks_pulumi.errors import ErrorCode
from tools.messages import PACKAGE, ROOT, Message, messages

NOT_SHOWN: Final = {
    "AttributeError": "for Python's own import",
    "argparse.ArgumentError": "the parser of the command line shows its text and adds the code",
    "argparse.ArgumentTypeError": "the parser of the command line shows its text and adds the code",
    "WrongOptionError": "its text was shown with the code",
    "RequestRefusedError": "a broker answers it as JSON, with a code for programs",
    "ApprovalNeededError": "the desk makes an access request of it, and a refusal with its id",
    "NotLookedError": "the kernel looks at what is missing, and judges again",
    "OptionError": "`policy.rule.misconfigured` shows its text and adds the code",
    "ShapeError": "`api._decode` shows its text as an unreadable answer",
    "UnreadableError": "`agents.programs` shows it as what is wrong in a program",
    "HostError": "its text has the code already",
    "_DeferredError": "pulumi_policy shows it as a notice",
    "NotUnderstoodError": "`account.backend` shows its text as a note, or as the text of a `PulumiError`",
    "_NoWheelError": "`commands._package.required` returns its text, and the commands show it",
}
"""Exception -> why its text needs no code."""
ELSEWHERE: Final = {
    f"{PACKAGE}/emulator/": "the answers of the API, and errors for tests that drive the emulator",
    f"{PACKAGE}/commands/emulator.py": "the command adds the code",
    f"{PACKAGE}/policy/adapter.py": "`policy.rule.crashed` adds the code",
    f"{PACKAGE}/policy/testing.py": "for the author of a test",
    f"{PACKAGE}/policy/_analyzer.py": "for the author of a test",
    f"{PACKAGE}/resources/_validators.py": "`resources._fields.checked` adds the code",
    f"{PACKAGE}/resources/_resource.py": "`resources._fields.checked` adds the code",
    f"{PACKAGE}/pricing/money.py": "the parser of the command line, or the reader of a file, adds the code",
    f"{PACKAGE}/_settings_file.py": "`text_of` is called by readers that add the name of the file and a code",
    f"{PACKAGE}/cost/live.py": "an `InputError` has its text; the policy that asked for the account shows the other",
    f"{PACKAGE}/broker/change.py": "`strict_json` adds what is read and the code",
    f"{PACKAGE}/cost/report.py": "`_range` is for the reader of the file, which adds the line and the code",
    f"{PACKAGE}/broker/reader.py": "`duration` is for the reader of the file and the command line, which add the code",
    f"{PACKAGE}/broker/signers.py": "`signers_in` adds the line and the code",
    f"{PACKAGE}/errors.py": "an error is made with wrong values: an internal error",
    f"{PACKAGE}/api/_transport.py": "`Transport` turns it into an error with a code",
}
"""Path prefix -> why the texts of built-in exceptions there need no code."""


def coded() -> set[str]:
    """Return the names of the subclasses of `StacksError`, whose text always contains a code."""
    bases = {
        node.name: {ast.unparse(base) for base in node.bases}
        for file in (ROOT / PACKAGE).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    found = {"StacksError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


@pytest.fixture(scope="module")
def raised() -> list[Message]:
    return messages()


def test_every_error_that_reaches_a_user_has_a_code(raised: list[Message]) -> None:
    known = coded() | NOT_SHOWN.keys()

    without = [
        str(message)
        for message in raised
        if message.kind.endswith("Error")
        and message.kind not in known
        and not message.text.endswith("]")
        and not message.path.startswith(tuple(ELSEWHERE))
    ]

    assert without == []


def test_every_code_that_the_package_gives_is_listed_and_every_listed_one_is_used() -> None:
    given: set[ast.expr | None] = set()
    texts = collections.Counter[str]()
    for file in (ROOT / PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given |= {word.value for word in node.keywords if word.arg == "code"}
                given |= set(node.args[1:2]) if ast.unparse(node.func).endswith("with_code") else set()
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).endswith("ErrorCode"):
                given.add(node.value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts[node.value] += 1
    codes = {str(one.value) for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    listed = set(typing.get_args(ErrorCode))

    assert codes - listed == set()
    # One of these entries is the list itself.
    assert {code for code in listed if texts[code] < 2} == set()


def test_the_lists_have_no_entry_that_nothing_needs(raised: list[Message]) -> None:
    assert NOT_SHOWN.keys() <= {message.kind for message in raised}
    for path in ELSEWHERE:
        assert any(message.path.startswith(path) for message in raised), path


def test_the_list_of_messages_finds_those_that_are_put_together(raised: list[Message]) -> None:
    texts = {
        message.path: message.text for message in raised if message.path.endswith("resources/provider.py")
    }

    assert 'the provider "{resource_name}" has no api_key' in "".join(
        message.text for message in raised if message.path in texts
    )
    assert len(raised) > 250
