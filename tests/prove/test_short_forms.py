"""The short form of each proof, and each case that has failed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove.__main__ import options, prove
from tests.prove.proof import Seen
from tests.prove.registry import PROOFS
from tests.prove.run import KEPT

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.host]

# Both hosts call the same resources, so a change needs only the lives on one host. The other proofs are left to
# `make test-extra`: their programs repeat those of tests/engine, tests/host and tests/broker, or a person runs their
# tool.
IN_TEST = (
    "broker --seed=10 --cases=12",
    "chaos --seed=20260401 --cases=8 --turns=8 --host=dynamic",
    "gate --seed=18 --cases=6 --programs=0",
)
SHORT = [
    pytest.param(
        (name, *arguments),
        id=" ".join((name, *arguments)),
        marks=[] if " ".join((name, *arguments)) in IN_TEST else [pytest.mark.extra],
    )
    for name, proof in PROOFS.items()
    for arguments in proof.short()
]


@pytest.mark.parametrize("arguments", SHORT)
def test_short_form_fails_in_no_case(arguments: tuple[str, ...]) -> None:
    # The cases run one after another in this process: another process would repeat all imports and start its own fork
    # server.
    failed, total = prove(options([*arguments, "--at-once=1"]))

    assert failed == []
    least = PROOFS[arguments[0]].least
    assert {name: total[name] for name in least if total[name] < least[name]} == {}


@pytest.mark.parametrize(
    "path", sorted(KEPT.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_kept_case_fails_no_longer(path: Path) -> None:
    name = path.parent.name
    (kept,) = PROOFS[name].read(path)

    PROOFS[name](options([name])).run(kept.case, Seen())
