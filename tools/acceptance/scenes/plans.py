"""Plans and storage: creations that cost more, so that a larger limit is needed."""

from __future__ import annotations

from typing import Any, Final

from stacks_pulumi import catalog
from tools.acceptance.run import COMPUTE, Run, id_of

__all__ = ["plans"]

_NEITHER: Final = "A non-micro template on the plan micro"
_STORED: Final = (
    ("containers.create", "Storage in the answers"),
    ("containers.list", "Storage is that of the plan"),
    ("containers.status", "Storage is that of the plan"),
)
_UNNAMED: Final = "A micro template without a plan"


def plans(run: Run) -> None:
    """Which plan goes with which template, and what additional storage does to the storage."""
    # If one is accepted, it may be billed as the larger plan. Half of the statement would confirm nothing.
    price = run.price("nginx", "standard")
    for label, template, plan in (("-p1", "nginx", "micro"), ("-p2", COMPUTE, "standard")):
        run.try_creation("containers.create", _NEITHER, label, price, "plan", template=template, plan=plan)
    vpn, standard = catalog.VPN_TEMPLATE, run.price("nginx", "standard")
    run.try_creation(
        "containers.create",
        "A plan other than the default for stacks-vpn.",
        "-p3",
        max(standard, run.price(vpn, None)),
        "plan",
        template=vpn,
        plan="standard",
    )
    run.try_creation(
        "containers.create",
        "Additional storage for stacks-vpn.",
        "-p4",
        run.price(vpn, None) + catalog.STORAGE_TIERS[1].usd,
        "additional_storage_tier",
        template=vpn,
        additional_storage_tier=1,
    )
    _unnamed_plan(run)
    _storage(run)


def _unnamed_plan(run: Run) -> None:
    price = run.price("nginx", "basic")
    answer = run.create("-p5", price, template=COMPUTE)
    if answer is None or not answer.ok:
        reason = (
            run.over_budget(price) if answer is None else f"the creation was refused: {answer.describe()}"
        )
        run.skip("containers.create", _UNNAMED, reason)
        return
    plan = answer.data.get("plan")
    run.judge("containers.create", _UNNAMED, plan == "basic", f"{plan}")
    run.discard(id_of(answer))


def _storage(run: Run) -> None:
    price = run.price("nginx", "basic", 1)
    answer = run.create("-p6", price, template="nginx", plan="basic", additional_storage_tier=1)
    if answer is None or not answer.ok:
        reason = (
            run.over_budget(price) if answer is None else f"the creation was refused: {answer.describe()}"
        )
        for subject, text in _STORED:
            run.skip(subject, text, reason)
        return
    id_ = id_of(answer)
    together = catalog.PLANS["basic"].storage_mb + catalog.STORAGE_TIERS[1].storage_mb
    status: Any = run.api.call("containers.status", id_).data
    shown = (
        answer.data.get("storage_allocated"),
        (run.row(id_) or {}).get("storage_allocated"),
        status.get("storageAllocated"),
    )
    for (subject, text), storage in zip(_STORED, shown, strict=True):
        run.judge(subject, text, storage == together, f"{storage} MB for basic and the tier 1")
    run.discard(id_)
