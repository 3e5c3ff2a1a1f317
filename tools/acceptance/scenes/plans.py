"""Plans and storage: creations that cost more, so that a larger limit is needed."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from stacks_pulumi import catalog
from tools.acceptance import reading
from tools.acceptance.arrival import arrive
from tools.acceptance.departure import discard
from tools.acceptance.run import COMPUTE, Created, Run
from tools.acceptance.scenes.creation import try_creation

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
        try_creation(run, _NEITHER, label, price, "plan", template=template, plan=plan)
    vpn, standard = catalog.VPN_TEMPLATE, run.price("nginx", "standard")
    try_creation(
        run,
        "A plan other than the default for stacks-vpn.",
        "-p3",
        max(standard, run.price(vpn, None)),
        "plan",
        template=vpn,
        plan="standard",
    )
    try_creation(
        run,
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
    created = run.create("-p5", price, template=COMPUTE)
    if created is None or not created.answer.ok:
        run.skip("containers.create", _UNNAMED, _why_not(run, created, price))
        return
    plan = created.answer.get("plan")
    run.judge("containers.create", _UNNAMED, plan == "basic", f"{reading.word(plan)}")
    discard(run, arrive(run, created))


def _storage(run: Run) -> None:
    price = run.price("nginx", "basic", 1)
    created = run.create("-p6", price, template="nginx", plan="basic", additional_storage_tier=1)
    id_ = None if created is None else arrive(run, created)
    if created is None or id_ is None:
        for subject, text in _STORED:
            run.skip(subject, text, _why_not(run, created, price))
        return
    together = catalog.PLANS["basic"].storage_mb + catalog.STORAGE_TIERS[1].storage_mb
    shown = (
        created.answer.get("storage_allocated"),
        reading.field(run.row(id_), "storage_allocated"),
        run.api.call("containers.status", id_).get("storageAllocated"),
    )
    for (subject, text), storage in zip(_STORED, shown, strict=True):
        run.judge(subject, text, storage == together, f"{reading.word(storage)} MB for basic and the tier 1")
    discard(run, id_)


def _why_not(run: Run, created: Created | None, price: Decimal) -> str:
    if created is None:
        return run.over_budget(price)
    return f"there is no container: its creation had {created.answer.describe()}"
