from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest

from stacks_pulumi.api import models
from stacks_pulumi.api._bodies import record
from stacks_pulumi.api.models import Model

MODELS = [name for name in models.__all__ if isinstance(getattr(models, name), type)]


def test_merging_fills_gaps_and_overrides_nothing() -> None:
    told = models.Container(id="a", name="web", has_web_ui=False)
    asked = models.Container(id="b", name="other", template="nodejs", has_web_ui=True)

    assert told.merge(asked) == models.Container(id="a", name="web", template="nodejs", has_web_ui=False)


def test_merging_nothing_new_gives_the_same() -> None:
    told = models.Container(id="a", name="web")

    assert told.merge(models.Container(id="a")) is told


def test_the_internal_host_is_the_id() -> None:
    assert models.Container(id="usr-1-db").internal_host == "usr-1-db"


@pytest.mark.parametrize(
    ("told", "id"), [(178, 178), ("178", 178), ("0178", "0178"), ("9f0c-uuid", "9f0c-uuid")]
)
def test_the_id_of_a_backup_is_a_number_or_a_text(told: object, id: object) -> None:
    assert record(models.Backup, {"id": told}).id == id


def test_a_vpn_client_is_known_by_its_name() -> None:
    assert models.VpnClient(name="laptop").id == "laptop"


@pytest.mark.parametrize("name", [name for name in MODELS if name != "Listing"])
def test_models_are_frozen_and_survive_pickling(name: str) -> None:
    kind: Any = getattr(models, name)
    required = {"id": 7 if kind is models.Backup else "a", "name": "a", "value": 1.0}
    made = kind(**{f.name: required[f.name] for f in msgspec.structs.fields(kind) if f.required})

    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(AttributeError):
        setattr(made, kind.__struct_fields__[0], None)


@pytest.mark.parametrize("name", MODELS)
def test_spellings_are_in_snake_case_and_belong_to_a_field(name: str) -> None:
    kind = getattr(models, name)
    if issubclass(kind, Model):
        assert kind.ALIASES.keys() <= set(kind.__struct_fields__)
        assert all(spelling == spelling.lower() for given in kind.ALIASES.values() for spelling in given)


def test_credentials_show_nothing_of_themselves() -> None:
    made = models.Credentials(username="admin", password="hunter2", raw={"password": "hunter2"}, type="redis")

    assert repr(made) == "Credentials(container_name=None, type='redis', ...)"
    assert made.__rich_repr__() == [("container_name", None), ("type", "redis")]
