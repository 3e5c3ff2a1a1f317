"""Reads at the start, refused creations, and the compute container."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi import catalog
from tools.acceptance import reading
from tools.acceptance.api import Answer
from tools.acceptance.arrival import arrive
from tools.acceptance.contract import contract
from tools.acceptance.departure import discard
from tools.acceptance.forms import note_clock, note_error, note_fields, note_rate, note_times, note_wrapping
from tools.acceptance.lists import Listing
from tools.acceptance.run import COMPUTE, Created, Run, Seen
from tools.acceptance.scenes.prices import prices

__all__ = ["main_container", "reads", "refusals", "try_creation"]

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
    listed = run.lists.read("containers.list").answer
    run.lists.probe("containers.list")
    wanted = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    missing = [name for name in wanted if name not in listed.headers]
    run.judge(
        "rate limit",
        "Answers have",
        not missing,
        f"missing: {', '.join(missing)}" if missing else "all three",
    )
    note_rate(run.learned, listed)
    note_clock(run.learned, listed)
    templates = run.lists.read("containers.templates")
    run.form("containers.templates", templates.answer)
    if set(catalog.TEMPLATES) - _template_ids(templates) and run.lists.probe("containers.templates"):
        templates = run.lists.read("containers.templates")
    lacking = sorted(set(catalog.TEMPLATES) - _template_ids(templates))
    run.judge(
        "containers.templates",
        "All templates of the guide",
        not lacking,
        f"missing: {', '.join(lacking)}" if lacking else f"{len(templates.rows)} templates",
    )
    prices(run, templates.rows)
    _words(run, templates.rows)
    invalid = run.api.call("containers.list", key=_NO_KEY)
    run.judge(
        "authentication",
        "An invalid key",
        (invalid.status, invalid.body) == (401, {"error": "Invalid API key"}),
        invalid.describe(),
    )
    absent = run.api.learn_missing(run.prefix)
    if absent.absent:
        run.learned.note(
            "errors.missing_code", absent.status, "the status of a container that does not exist"
        )
        note_error(run.learned, absent)
    if run.judge(
        "containers.status", "A container that does not exist", absent.status == 404, absent.describe()
    ):
        problem = contract().misfit({"$ref": "#/components/schemas/Refusal"}, absent.body)
        run.judge("every NotFound answer", "The body.", problem is None, problem or "as the contract has it")
    stats = run.api.call("backups.stats")
    run.guide_form("backups.stats", stats)
    text = "last_backup_at is null without a backup."
    if stats.ok and str(stats.get("total_backups")) == "0":
        run.judge("backups.stats", text, stats.get("last_backup_at") is None, "no backups yet")
    else:
        run.skip("backups.stats", text, "the account has backups")


def _template_ids(templates: Listing) -> set[str | None]:
    ids = {reading.word(reading.field(row, "id", "template")) for row in templates.rows}
    return ids | set(reading.names_in(templates.answer.body))


def _words(run: Run, rows: list[dict[str, Any]]) -> None:
    """Note the platform's words for templates and plans, which the titles of the templates show."""
    titles = {it.title: it for it in catalog.TEMPLATES.values()}
    for row in rows:
        word, plan = (reading.word(reading.field(row, name)) for name in ("id", "plan"))
        known = catalog.TEMPLATES.get(word or "") or titles.get(str(reading.field(row, "name", "title")))
        if known is None:
            continue
        if word is not None:
            run.learned.word("containers.templates", word, known.id, f"its title is {known.title}")
        if plan is not None and known.plan is not None and plan.lower() != known.plan.name:
            run.learned.word("containers.plans", plan, known.plan.name, f"the plan of {known.id}")


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
        _judge_long_name(run, begin, long.answer)
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
        try_creation(
            run,
            "null for an optional field.",
            "-null",
            price,
            "discount_code",
            **_MICRO,
            discount_code=None,
        )
    dearer = run.price(COMPUTE, "micro", 1)
    try_creation(
        run,
        "Additional storage for a micro",
        "-tier",
        dearer,
        "additional_storage_tier",
        **_MICRO,
        additional_storage_tier=1,
    )


def try_creation(
    run: Run, text: str, label: str, price: Decimal, field_name: str | None, **fields: Any
) -> None:
    """Judge that a creation is refused; if it is accepted, the container is deleted again."""
    created = run.create(label, price, **fields)
    if created is None:
        run.skip("containers.create", text, run.over_budget(price))
        return
    run.refuses("containers.create", text, created.answer, field_name=field_name)
    discard(run, arrive(run, created))


def _judge_long_name(run: Run, begin: str, long: Answer) -> None:
    if long.ok or long.refused:
        run.judge("containers.create", begin, (long.status, long.body) == (400, _LONG_NAME), long.describe())
    else:
        run.skip("containers.create", begin, long.describe())


def _refused(run: Run, label: str, begin: str) -> Answer | None:
    price = run.price(COMPUTE, "micro")
    created = run.create(label, price, **_MICRO)
    if created is None:
        run.skip("containers.create", begin, run.over_budget(price))
        return None
    run.refuses("containers.create", begin, created.answer, field_name="name")
    _keep(run, created)
    return created.answer


def _keep(run: Run, created: Created) -> None:
    """Use the container of a creation that the API accepted against the guide, because it is billed."""
    if created.answer.ok and run.main is None:
        run.main = arrive(run, created)


def main_container(run: Run) -> None:
    """The compute container, from the request until it runs."""
    if run.main is not None:
        run.created_at = run.birth(run.main)
        return
    run.api.make_room(8)
    price = run.price(COMPUTE, "micro")
    created = _create(run, price)
    if created is None:
        msg = f"no container could be created: {run.over_budget(price)}"
        raise LookupError(msg)
    if created.answer.ok:
        _judge_creation(run, created)
    run.main = _boot(run, created)
    again = None if run.main is not None else run.create("-Main2", price, **_MICRO)
    if again is not None:
        # The first one may have been an outage of a moment.
        created, run.main, run.label = again, arrive(run, again), "-Main2"
    if run.main is None:
        msg = f"there is no {COMPUTE}: its creation had {created.answer.describe()}"
        raise LookupError(msg)
    _judge_row(run, run.main, created)


def _create(run: Run, price: Decimal) -> Created | None:
    """Ask for the compute container: with an unknown discount code, without one, and once more after a lost answer."""
    discount = "A discount code is accepted and changes no price."
    created = run.create("-Main", price, **_MICRO, discount_code=run.prefix.upper())
    if created is not None and created.answer.status == 400:
        evidence = f"an unknown code is a {created.answer.describe()}"
        run.judge("containers.create", discount, holds=False, evidence=evidence)
        return run.create("-Main", price, **_MICRO)
    if created is not None and created.answer.ok:
        run.skip("containers.create", discount, "an unknown code is accepted; no answer has the price")
    return created


def _judge_creation(run: Run, created: Created) -> None:
    answer = created.answer
    ids = answer.ids
    run.judge(
        "containers.create",
        "The answer is a 202",
        (answer.status, answer.get("status")) == (202, "pending"),
        f"{answer.status}, {answer.get('status')}",
    )
    run.guide_form("containers.create", answer)
    name = created.asked.name
    ends = any(it.lower().endswith(f"-{name.lower()}") for it in ids)
    run.judge(
        "containers.create", "The id ends with", ends, "it does" if ends else f"{len(ids)} ids, none does"
    )
    kept = any(it.endswith(name) for it in ids) and answer.get("name") == name
    run.judge("containers.create", "Letters keep their case", kept, "they do" if kept else "they are folded")
    # The others cost more than a dollar each.
    if answer.get("hasSshAccess") is True:
        run.skip("containers.create", _COMPUTE_TEMPLATES, f"{COMPUTE} is one; the others are not created")
    else:
        run.judge(
            "containers.create", _COMPUTE_TEMPLATES, holds=False, evidence=f"{COMPUTE} has no SSH access"
        )


def _boot(run: Run, created: Created) -> str | None:
    began = run.now()
    addressless = "There is no IP address while the status is pending."
    run.skip("containers.status", addressless, "the container was not seen pending")
    ended: list[float] = []

    def judge(seen: Seen) -> None:
        if seen.means == "pending":
            address = seen.answer.get("ipAddress")
            run.judge(
                "containers.status", addressless, address is None, "null" if address is None else "it has one"
            )
        if seen.means == "running":
            ended.append(run.now())

    id_ = arrive(run, created, judge)
    if id_ is not None:
        seconds = (ended[0] if ended else run.now()) - began
        run.judge(
            "containers.status", "A new container runs", bool(ended) and seconds <= 30, f"{seconds:.0f} s"
        )
    return id_


def _judge_row(run: Run, id_: str, created: Created) -> None:
    listing = run.lists.read("containers.list")
    listed, row = listing.answer, run.row(id_)
    status = run.api.call("containers.status", id_)
    run.guide_form("containers.status", status)
    run.created_at = status.get("createdAt")
    if row is None:
        msg = "the container is not in the list"
        raise LookupError(msg)
    # The other rows belong to the account's owner.
    own: Any = [row]
    if isinstance(listed.body, Mapping):
        own = (
            {**listed.body, "data": own}
            if "data" in listed.body
            else {**listed.body, run.lists.rows or "": own}
        )
    run.guide_form("containers.list", Answer(listed.status, listed.headers, own, ""))
    _judge_count(run, listing.answer)
    shown, first = reading.field(row, "created_at"), created.answer.get("createdAt")
    note_times(run.learned, shown, status.get("createdAt"))
    note_fields(run.learned, row, status)
    note_wrapping(run.learned, created.answer, status)
    if run.created_at is None:
        run.created_at = shown
    run.judge(
        "created_at",
        "The list and the status",
        shown == status.get("createdAt"),
        f"{shown} and {status.get('createdAt')}",
    )
    run.judge("created_at", "The answer to the creation", first == shown, f"{first} and {shown}")
    kind = reading.field(row, "type")
    run.judge("containers.list", "The type is", kind == COMPUTE, f"{kind}")
    size = [
        reading.number(reading.field(row, key))
        for key in ("cpu_allocated", "memory_allocated", "storage_allocated")
    ]
    if size[2] is not None:
        unit = "GB" if size[2] < 100 else "MB"
        run.learned.note("containers.storage_unit", unit, f"the storage of a micro is {size[2]:g}")
    run.judge("containers.status", "The plan micro has", size == [0.1, 512, 5120], f"{size}")


def _judge_count(run: Run, listed: Answer) -> None:
    """Note the path of the rows, and what `count` is."""
    path = run.lists.rows
    if path is not None:
        run.learned.note("lists.rows", path, f"the rows of the container list are under {path}")
    count = reading.number(reading.field(listed.body, "count"))
    if count is not None:
        rows = len(listed.rows(path))
        run.learned.note("lists.count_is_rows", count == rows, f"count is {count:.0f} for {rows} rows")
