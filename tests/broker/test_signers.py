"""Each line of `allowed_signers` must name one person and one key, or the file is refused with the line number."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from stacks_pulumi.broker.signers import signers_in, signers_of
from stacks_pulumi.errors import ConfigError

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIGFubiBpcyBvbmUgcGVyc29uIHdpdGggb25lIGtleQ=="
ANN = f"ann ssh-ed25519 {KEY}"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"* ssh-ed25519 {KEY}", r"\* is not the name of one person"),
        (f"ann,bob ssh-ed25519 {KEY}", "ann,bob is not the name of one person"),
        (f"!ann ssh-ed25519 {KEY}", "!ann is not the name of one person"),
        ("ann", 'write a line as: NAME namespaces="stacks-pulumi-gate" KEYTYPE KEY'),
        ("ann ssh-ed25519", "write a line as: NAME"),
        ("ann ssh-ed25519 no%key", "the key of ann is damaged"),
        (f"bob ssh-ed25519 {KEY}", "bob and ann have the same key"),
        (f"Ann ssh-ed25519 {KEY[:-4]}AA==", "Ann and ann are two spellings of one name"),
        (f"ann cert-authority ssh-ed25519 {KEY}", "the option cert-authority is not supported"),
        (f'ann namespaces="git" ssh-ed25519 {KEY}', 'its namespaces must be "stacks-pulumi-gate"'),
        (f"ann a=b=c ssh-ed25519 {KEY}", "its options cannot be read"),
        (
            f'ann valid-before="tomorrow" ssh-ed25519 {KEY}',
            'is not a valid time: write it as valid-before="20271231"',
        ),
    ],
)
def test_a_line_that_could_name_another_person_is_refused(line: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"signers, line 3: .*{problem}"):
        signers_in(f"# the approvers\n{ANN}\n{line}\n", "signers")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"signers cannot be read: .* \[invalid-file\]"):
        signers_of(tmp_path / "signers")


def test_a_key_holds_from_one_time_to_another_in_utc() -> None:
    times = 'valid-after="20261101",valid-before="202712312359Z",namespaces="stacks-pulumi-gate"'

    (signer,) = signers_in(f"ann {times} ssh-ed25519 {KEY}\n", "signers")

    first = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
    last = datetime.datetime(2027, 12, 31, 23, 59, tzinfo=datetime.timezone.utc)
    assert (signer.after, signer.before) == (first, last)
    minute = datetime.timedelta(minutes=1)
    assert [signer.holds(at) for at in (first - minute, first, last, last + minute)] == [
        False,
        True,
        True,
        False,
    ]
