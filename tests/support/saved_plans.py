"""Saved plans and the states that they are made against, in the formats of the engine."""

from __future__ import annotations

import base64
import json
import pickle
from dataclasses import dataclass, field
from typing import Any

from stacks_pulumi import provider_for
from tests.support import previews
from tests.support.previews import CONTAINER, UNKNOWN, Inputs, urn

ADDRESS = CONTAINER.replace("Container", "AllowedIp")
BACKUP = CONTAINER.replace("Container", "PinnedBackup")
CONNECTION = CONTAINER.replace("Container", "Connection")
RESTORE = CONTAINER.replace("Container", "BackupRestore")
VPN = CONTAINER.replace("Container", "VpnClient")
RANDOM = "random:index/randomString:RandomString"
COMPONENT = "shop:index:Shop"
PROVIDER = "pulumi:providers:stacks"
ROOT = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"
HIDDEN = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": ""}

__all__ = ["ADDRESS", "BACKUP", "CONNECTION", "CONTAINER", "HIDDEN", "ROOT", "UNKNOWN", "Saved", "urn", "web"]


def pickled(made: object) -> str:
    """Return what the SDK stores of a dynamic provider."""
    return base64.b64encode(pickle.dumps(made)).decode()


OURS = pickled(provider_for("Container"))


def web(plan: Any = "basic", template: Any = "nodejs", **more: Any) -> Inputs:
    """Return inputs of a container, as a plan and a state have them: there the pickled provider is no secret."""
    return {**previews.web(plan, template, **more), "__provider": OURS}


def inputs(kind: str, **given: Any) -> Inputs:
    """Return the checked inputs of a resource of ours."""
    return {"stacks_kind": kind, **given}


@dataclass
class Saved:
    """
    A plan with its state, made resource by resource.

    Attributes:
        resources: The resources in the state.
        plans: The plan of each URN.
        pending: The operations that were interrupted.
        config: The configuration of the stack.
    """

    resources: list[dict[str, Any]] = field(default_factory=list)
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    pending: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)

    def old(self, name: str, given: Inputs, kind: str = CONTAINER, **more: Any) -> str:
        """Add a resource to the state, and return its URN."""
        its = urn(name, kind)
        self.resources.append(
            {
                "urn": its,
                "custom": kind != COMPONENT,
                "id": f"usr-1-{name}",
                "type": kind,
                "inputs": given,
                "outputs": dict(given),
                "parent": ROOT,
                **more,
            }
        )
        return its

    def plan(self, name: str, given: Inputs | None, *steps: str, kind: str = CONTAINER, **goal: Any) -> str:
        """Plan steps for a resource; `given` are the inputs that it will have, `None` for a deletion."""
        its = urn(name, kind)
        if given is None:
            self.plans[its] = {"steps": list(steps), "state": None}
            return its
        base = goal.pop("base", None)
        if base is None:
            found = next((one for one in self.resources if one["urn"] == its and not one.get("delete")), {})
            base = {} if {"create", "import"} & set(steps) else found.get("inputs", {})
        difference = {
            "adds": {
                name: value for name, value in given.items() if base.get(name) is None and value is not None
            },
            "deletes": [name for name in base if given.get(name) is None],
            "updates": {
                name: value
                for name, value in given.items()
                if base.get(name) is not None and value is not None and base[name] != value
            },
        }
        self.plans[its] = {
            "goal": {
                "type": kind,
                "name": name,
                "custom": kind != COMPONENT,
                "inputDiff": {key: value for key, value in difference.items() if value},
                "outputDiff": {},
                "parent": ROOT,
                "protect": False,
                "customTimeouts": {},
                **goal,
            },
            "steps": list(steps),
            "state": None,
        }
        return its

    def same(self, name: str, given: Inputs, kind: str = CONTAINER, **more: Any) -> str:
        """Add a resource that does not change."""
        its = self.old(name, given, kind, **more)
        goal = {"protect": True} if more.get("protect") else {}
        self.plan(name, given, "same", kind=kind, **goal)
        return its

    @property
    def files(self) -> tuple[bytes, bytes]:
        """The plan and the state, as files."""
        plans = {ROOT: {"goal": None, "steps": ["same"], "state": {}}, **self.plans}
        plan = {"manifest": {"time": "2026-01-01T00:00:00Z"}, "config": self.config, "resourcePlans": plans}
        root = {"urn": ROOT, "custom": False, "type": "pulumi:pulumi:Stack"}
        state = {
            "version": 3,
            "deployment": {
                "manifest": {"time": "2026-01-01T00:00:00Z"},
                "resources": [root, *self.resources],
                "pending_operations": self.pending,
            },
        }
        return json.dumps(plan).encode(), json.dumps(state).encode()
