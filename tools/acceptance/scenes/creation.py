"""Reads at the start, refused creations, and the compute container."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from stacks_pulumi import catalog
from stacks_pulumi.api._bodies import unwrap
from tools.acceptance.api import Answer
from tools.acceptance.contract import contract
from tools.acceptance.run import COMPUTE, Run, id_of

__all__ = ["main_container", "reads", "refusals"]

_NO_KEY: Final = "sk_stacks_" + "0" * 64
_LONG_NAME: Final = {
    "success": False,
    "error": "Container name must be no more than 32 characters",
    "field": "name",
}
_MICRO: Final[dict[str, Any]] = {"template": COMPUTE, "plan": "micro"}
_TEXTS: Final = "The texts of all messages"
_COMPUTE_TEMPLATES: Final = "Compute templates are"


def reads(run: Run) -> None:
    """The list, the templates, the statistics, and the refusals of reads."""
    listed = run.api.call("containers.list")
    wanted = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    missing = [name for name in wanted if name not in listed.headers]
    run.judge(
        "rate limit",
        "Answers have",
        not missing,
        f"missing: {', '.join(missing)}" if missing else "all three",
    )
    templates = run.api.call("containers.templates")
    run.form("containers.templates", templates)
    found, _ = unwrap(templates.body, "templates")
    rows = found if isinstance(found, list) else []
    ids = {row.get("id") if isinstance(row, Mapping) else row for row in rows}
    lacking = sorted(set(catalog.TEMPLATES) - ids)
    run.judge(
        "containers.templates",
        "All templates of the guide",
        not lacking,
        f"missing: {', '.join(lacking)}" if lacking else f"{len(ids)} templates",
    )
    invalid = run.api.call("containers.list", key=_NO_KEY)
    run.judge(
        "authentication",
        "An invalid key",
        (invalid.status, invalid.body) == (401, {"error": "Invalid API key"}),
        invalid.describe(),
    )
    absent = run.api.call("containers.status", f"usr-00000000-{run.prefix}")
    if run.judge(
        "containers.status", "A container that does not exist", absent.status == 404, absent.describe()
    ):
        problem = contract().misfit({"$ref": "#/components/schemas/Refusal"}, absent.body)
        run.judge("every NotFound answer", "The body.", problem is None, problem or "as the contract has it")
    stats = run.api.call("backups.stats")
    run.guide_form("backups.stats", stats)
    text = "last_backup_at is null without a backup."
    if isinstance(stats.data, Mapping) and str(stats.data.get("total_backups")) == "0":
        run.judge("backups.stats", text, stats.data.get("last_backup_at") is None, "no backups yet")
    else:
        run.skip("backups.stats", text, "the account has backups")


def refusals(run: Run) -> None:
    """Creations that the guide, or the emulator, refuses."""
    price = run.price(COMPUTE, "micro")
    texts: list[tuple[Answer | None, str]] = []
    for label, begin, text in (
        (
            "_a",
            "A name with other characters",
            "Container name may contain only letters, numbers, and hyphens",
        ),
        ("-", "A name that ends with a hyphen", "Container name must start and end with a letter or number"),
        ("--a", "A name with two hyphens", "Container name must not contain consecutive hyphens"),
    ):
        answer = _refused(run, label, begin)
        texts.append((answer, text))
    long = run.create("-" + "x" * 32, price, **_MICRO)
    begin = "A name of more than 32"
    if long is None:
        run.skip("containers.create", begin, run.over_budget(price))
    else:
        run.judge("containers.create", begin, (long.status, long.body) == (400, _LONG_NAME), long.describe())
        _keep(run, long)
    other = [
        text
        for answer, text in texts
        if answer is not None and isinstance(answer.body, Mapping) and answer.body.get("error") != text
    ]
    if other:
        run.judge(
            "containers.create",
            _TEXTS,
            holds=False,
            evidence=f"there is another text for: {'; '.join(other)}",
        )
    else:
        run.skip("containers.create", _TEXTS, "the texts that were seen agree; 402 and 503 were not provoked")
    if run.main is None:
        run.try_creation(
            "containers.create",
            "null for an optional field.",
            "-null",
            price,
            "discount_code",
            **_MICRO,
            discount_code=None,
        )
    dearer = run.price(COMPUTE, "micro", 1)
    run.try_creation(
        "containers.create",
        "Additional storage for a micro",
        "-tier",
        dearer,
        "additional_storage_tier",
        **_MICRO,
        additional_storage_tier=1,
    )


def _refused(run: Run, label: str, begin: str) -> Answer | None:
    price = run.price(COMPUTE, "micro")
    answer = run.create(label, price, **_MICRO)
    if answer is None:
        run.skip("containers.create", begin, run.over_budget(price))
        return None
    run.refuses("containers.create", begin, answer, field_name="name")
    _keep(run, answer)
    return answer


def _keep(run: Run, answer: Answer) -> None:
    """Use the container of a creation that the API accepted against the guide, because it is billed."""
    if answer.ok and run.main is None:
        run.main = id_of(answer)
        run.wait(run.main, frozenset({"running"}))


def main_container(run: Run) -> None:
    """The compute container, from the request until it runs."""
    if run.main is not None:
        run.created_at = (run.row(run.main) or {}).get("created_at")
        return
    run.api.make_room(8)
    price = run.price(COMPUTE, "micro")
    discount = "A discount code is accepted and changes no price."
    answer = run.create("-Main", price, **_MICRO, discount_code=run.prefix.upper())
    if answer is not None and answer.status == 400:
        run.judge(
            "containers.create", discount, holds=False, evidence=f"an unknown code is a {answer.describe()}"
        )
        answer = run.create("-Main", price, **_MICRO)
    elif answer is not None and answer.ok:
        run.skip("containers.create", discount, "an unknown code is accepted; no answer has the price")
    if answer is None:
        msg = f"no container could be created: {run.over_budget(price)}"
        raise LookupError(msg)
    if not answer.ok:
        msg = f"the creation of {COMPUTE} was refused with {answer.describe()}"
        raise LookupError(msg)
    run.main = id_of(answer)
    _judge_creation(run, answer)
    _judge_boot(run, run.main)
    _judge_row(run, run.main, answer)


def _judge_creation(run: Run, answer: Answer) -> None:
    data, id_ = answer.data, id_of(answer)
    run.judge(
        "containers.create",
        "The answer is a 202",
        (answer.status, data.get("status")) == (202, "pending"),
        f"{answer.status}, {data.get('status')}",
    )
    run.guide_form("containers.create", answer)
    name = f"{run.prefix}-Main"
    run.judge("containers.create", "The id ends with", id_.lower().endswith(f"-{name.lower()}"), "it does")
    kept = id_.endswith(name) and data.get("name") == name
    run.judge("containers.create", "Letters keep their case", kept, "they do" if kept else "they are folded")
    # The others cost more than a dollar each.
    if data.get("hasSshAccess") is True:
        run.skip("containers.create", _COMPUTE_TEMPLATES, f"{COMPUTE} is one; the others are not created")
    else:
        run.judge(
            "containers.create", _COMPUTE_TEMPLATES, holds=False, evidence=f"{COMPUTE} has no SSH access"
        )


def _judge_boot(run: Run, id_: str) -> None:
    began = time.monotonic()
    addressless = "There is no IP address while the status is pending."
    run.skip("containers.status", addressless, "the container was not seen pending")

    def look() -> str:
        answer = run.api.call("containers.status", id_)
        if answer.ok and answer.data.get("status") == "pending":
            address = answer.data.get("ipAddress")
            run.judge(
                "containers.status", addressless, address is None, "null" if address is None else "it has one"
            )
        return str(answer.data.get("status")) if answer.ok else "unknown"

    run.until(look, lambda status: status == "running", "the boot")
    seconds = time.monotonic() - began
    run.judge("containers.status", "A new container runs", seconds <= 30, f"{seconds:.0f} s")


def _judge_row(run: Run, id_: str, created: Answer) -> None:
    listed = run.api.call("containers.list")
    mine = [row for row in listed.data if isinstance(row, Mapping) and row.get("id") == id_]
    # The other rows belong to the account's owner.
    own = {**listed.body, "data": mine} if isinstance(listed.body, Mapping) else mine
    run.guide_form("containers.list", Answer(listed.status, listed.headers, own, ""))
    row = mine[0]
    status = run.api.call("containers.status", id_)
    run.guide_form("containers.status", status)
    run.created_at = row.get("created_at")
    shown = status.data.get("createdAt")
    run.judge(
        "created_at", "The list and the status", shown == run.created_at, f"{run.created_at} and {shown}"
    )
    first = created.data.get("createdAt")
    run.judge(
        "created_at", "The answer to the creation", first == run.created_at, f"{first} and {run.created_at}"
    )
    run.judge("containers.list", "The type is", row.get("type") == COMPUTE, f"{row.get('type')}")
    size = [float(row.get(key) or 0) for key in ("cpu_allocated", "memory_allocated", "storage_allocated")]
    run.judge("containers.status", "The plan micro has", size == [0.1, 512, 5120], f"{size}")
