"""The differences between a container and the program, and the changes that would need a new container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import same_name
from stacks_pulumi.api import models


def of_unknown(name: str, old: Any, inputs: Mapping[str, Any]) -> str:
    """Return the warning for an input whose new value is unknown at preview; only `pulumi up` can check it."""
    then = (
        "the container is replaced and its data destroyed"
        if inputs.get("replace_on_change") is True
        else "`pulumi up` refuses the change after its other steps"
    )
    return f"{name} is not known before `pulumi up`: if it differs from {_shown(old)}, {then}. Use a constant value"


def replacement_needed(name: str, old: Any, new: Any) -> str:
    """Return the message for a change in the program that would destroy the container."""
    what = (
        f"{name} would change from {_shown(old)} to {_shown(new)}"
        if new is not None
        else f"{name} {_shown(old)} would be removed"
    )
    keeping = {
        "name": f"No container can be renamed: to keep it, write name={_shown(old)} here. ",
        "template": "",
    }.get(
        name,
        "To resize the container and keep its data, use the STACKS dashboard, run `pulumi refresh`, and write the "
        f"new {name} here. ",
    )
    return (
        f"{what}. An API key can do this only by replacing the container, which destroys it, its volumes and its "
        f"backups. {keeping}To replace it anyway, set replace_on_change=True"
    )


def resized_outside(name: str, old: Any, new: Any) -> str:
    """Return the message for a change that was made outside of the program, and that only a replacement could undo."""
    return (
        f"{name} was changed to {_shown(old)} outside of this program, which still has {_shown(new)}. Undoing this "
        "would destroy the container, its volumes and its backups; replace_on_change applies only to changes in the "
        f"program. Write {name}={_shown(old)} here"
    )


def _shown(value: Any) -> str:
    """Return the value as a program writes it, because the engine turns every number into a float."""
    # If a number in the state may be a secret, it has a different type, whose text does not show the number.
    return repr(int(value) if type(value) is float and value.is_integer() else value)


def differences_to(inputs: Mapping[str, Any], container: models.Container) -> list[str]:
    """Return the differences that prevent an adoption; if no plan is set, any plan matches."""
    differences = []
    template, plan, tier = inputs["template"], inputs.get("plan"), inputs.get("additional_storage_tier")
    # If the list shows only a category or an unknown word, the template may be a different one.
    if not container.is_from(template):
        differences.append(f"its template is {container.template!r}, not {template!r}")
    if plan is not None and container.plan is not None and not same_name(container.plan, plan):
        differences.append(f"its plan is {container.plan!r}, not {plan!r}")
    if tier is not None and plan in catalog.PLANS and container.storage_mb is not None:
        wanted = catalog.PLANS[plan].storage_mb + catalog.STORAGE_TIERS[tier].storage_mb
        if container.storage_mb != wanted:
            differences.append(f"it has {container.storage_mb} MB of storage, not {wanted} MB")
    elif tier is None and (more := catalog.added_tier(catalog.PLANS.get(plan or ""), container.storage_mb)):
        # Otherwise, the storage would be billed, although neither a preview nor a policy has shown it.
        size = f"{catalog.STORAGE_TIERS[more].storage_mb // 1024} GB"
        differences.append(f"it has {size} of additional storage: write additional_storage_tier={more}")
    return differences
