"""
Every state contains the pickled provider and the type token of each resource.

Neither may ever change for an existing kind. A new kind adds a line.
"""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
from typing import Any

import pytest
from pulumi.dynamic.dynamic import serialize_provider

import stacks_pulumi as stacks
from stacks_pulumi.resources.handlers import HANDLERS

PICKLES = {
    "AllowedIp": "gASVMgAAAAAAAACMDXN0YWNrc19wdWx1bWmUjAxwcm92aWRlcl9mb3KUk5SMCUFsbG93ZWRJcJSFlFKULg==",
    "BackupRestore": "gASVNgAAAAAAAACMDXN0YWNrc19wdWx1bWmUjAxwcm92aWRlcl9mb3KUk5SMDUJhY2t1cFJlc3RvcmWUhZRSlC4=",
    "Connection": "gASVMwAAAAAAAACMDXN0YWNrc19wdWx1bWmUjAxwcm92aWRlcl9mb3KUk5SMCkNvbm5lY3Rpb26UhZRSlC4=",
    "Container": "gASVMgAAAAAAAACMDXN0YWNrc19wdWx1bWmUjAxwcm92aWRlcl9mb3KUk5SMCUNvbnRhaW5lcpSFlFKULg==",
    "PinnedBackup": "gASVNQAAAAAAAACMDXN0YWNrc19wdWx1bWmUjAxwcm92aWRlcl9mb3KUk5SMDFBpbm5lZEJhY2t1cJSFlFKULg==",
    "SshCertificate": "gASVNwAAAAAAAACMDXN0YWNrc19wdWx1bWmUjAxwcm92aWRlcl9mb3KUk5SMDlNzaENlcnRpZmljYXRllIWUUpQu",
    "VpnClient": "gASVMgAAAAAAAACMDXN0YWNrc19wdWx1bWmUjAxwcm92aWRlcl9mb3KUk5SMCVZwbkNsaWVudJSFlFKULg==",
}


def test_every_kind_is_recorded() -> None:
    assert PICKLES.keys() == HANDLERS.keys()


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickled_provider_never_changes(kind: str) -> None:
    assert serialize_provider(stacks.provider_for(kind)) == PICKLES[kind]


@pytest.mark.parametrize("kind", PICKLES)
def test_an_old_pickle_still_loads_the_provider(kind: str) -> None:
    provider = pickle.loads(base64.b64decode(PICKLES[kind]))

    assert type(provider.handler) is HANDLERS[kind]


@pytest.mark.parametrize("kind", PICKLES)
def test_a_type_token_never_changes(kind: str) -> None:
    assert getattr(stacks, kind)._resource_type_name == f"dynamic/stacks:{kind}"


@pytest.mark.parametrize("kind", PICKLES)
def test_a_subclass_is_of_the_same_type_and_no_policy_misses_it(kind: str) -> None:
    of_a_team: Any = type("OfATeam", (getattr(stacks, kind),), {})
    of_one_of_them: Any = type("OfOneOfThem", (of_a_team,), {})

    assert {of_a_team._resource_type_name, of_one_of_them._resource_type_name} == {f"dynamic/stacks:{kind}"}


def test_a_subclass_with_a_type_keeps_its_parents_type() -> None:
    class Named(stacks.Container, module="team", name="Named"):
        pass

    class Heir(Named):
        pass

    class Loose(stacks.Container, name="Loose"):
        pass

    for cls in (Named, Heir, Loose):
        assert cls._resource_type_name == "dynamic/stacks:Container"
    assert Named._former_type == Heir._former_type == "pulumi-python:dynamic/team:Named"
    assert Loose._former_type == "pulumi-python:dynamic:Loose"
    assert stacks.Container._former_type is None


def test_a_state_of_a_newer_version_is_an_error() -> None:
    with pytest.raises(LookupError, match="has no resource 'Cluster': install the newer version"):
        stacks.provider_for("Cluster")


def test_a_new_process_reads_a_state() -> None:
    program = (
        "import base64, pickle, sys\n"
        f"print(type(pickle.loads(base64.b64decode({PICKLES['Container']!r})).handler).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "ContainerHandler\n"
