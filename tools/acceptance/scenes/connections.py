"""A second container, a managed service, and connections to it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from tools.acceptance import reading
from tools.acceptance.api import Answer
from tools.acceptance.arrival import arrive
from tools.acceptance.run import MANAGED, Created, Run
from tools.acceptance.sweep import container_id

__all__ = ["connections", "managed_service"]

_LONGEST: Final = 64
_MIXED: Final = "Acc-Name"
_VARIABLES: Final = {"REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"}
_ADMIN: Final = "The user of every managed service but PostgreSQL is admin."
_IDENTITY: Final = "It stays the same over a connection."
_CREATE: Final = (
    "The answer has the form of the guide.",
    "The status code is 200.",
    "Both containers must be running.",
    "Without a name the target's is taken.",
    "A name has at most 64 characters.",
    "A name that the source has already",
    "The variables of everything but PostgreSQL.",
    "null as the name.",
)


def managed_service(run: Run) -> None:
    """Operations that a managed service refuses; and a taken name, which would cost as much if it was accepted."""
    price = run.price(MANAGED, "micro")
    if run.main is not None:
        taken = run.create(run.label, price, template=MANAGED, plan="micro")
        if taken is None:
            run.skip("containers.create", "A name that is taken", run.over_budget(price))
        else:
            run.refuses("containers.create", "A name that is taken", taken.answer, field_name="name")
            run.second = _taken(run, taken, price)
    created = None if run.second is not None else run.create("-data", price, template=MANAGED, plan="micro")
    if created is None and run.second is None:
        _skip_second(run, run.over_budget(price))
        return
    if created is not None:
        run.second = arrive(run, created)
        if run.second is None:
            reason = f"there is no {MANAGED}: its creation had {created.answer.describe()}"
            _skip_second(run, reason)
            raise LookupError(reason)
        _judge_ssh(run, created)
    id_ = str(run.second)
    for operation in ("containers.certificate", "containers.regenerate_certificate"):
        run.refuses(operation, "A managed service is a 400.", run.api.call(operation, id_))
    login = run.api.call("containers.credentials", id_)
    user = reading.field(login.get("mainCredentials"), "username")
    if user == "admin":
        run.skip("containers.credentials", _ADMIN, f"so it is for {MANAGED}; the others are not created")
    else:
        run.judge("containers.credentials", _ADMIN, holds=False, evidence=f"{MANAGED} has another user")


def _taken(run: Run, taken: Created, price: Decimal) -> str | None:
    """Return the id of a container that was created in spite of its name, and note what a name that is taken means."""
    if taken.answer.refused:
        run.learned.same("containers.name_taken")
        return None
    if taken.answer.ok and run.main in taken.answer.ids:
        evidence = (
            f"a creation with a name that is taken had {taken.answer.describe()}, with the older container"
        )
        run.learned.note("containers.name_taken", "answered", evidence)
        run.budget.give_back(price)
        run.record.close(taken.asked, "answered with the older container")
        return None
    return arrive(run, taken)


def _judge_ssh(run: Run, created: Created) -> None:
    answer = created.answer
    if not answer.ok:
        return
    ssh = [answer.get("sshUser"), answer.get("sshPort")]
    run.judge(
        "containers.create",
        "sshUser and sshPort",
        ssh == [None, None],
        "null" if ssh == [None, None] else "given",
    )
    if answer.get("hasSshAccess") is not False:
        run.judge(
            "containers.create",
            "Compute templates are",
            holds=False,
            evidence=f"{MANAGED} has SSH access",
        )


def _skip_second(run: Run, reason: str) -> None:
    run.skip("containers.create", "sshUser and sshPort", reason)
    for operation in ("containers.certificate", "containers.regenerate_certificate"):
        run.skip(operation, "A managed service is a 400.", reason)
    run.skip("containers.credentials", _ADMIN, reason)
    run.skip("created_at", _IDENTITY, reason)
    run.skip("connections.create", _CREATE, reason)
    run.skip("connections.targets", ("The answer has the form", "Every other container"), reason)
    run.skip("connections.list", ("The answer has the form", "An incoming connection"), reason)
    run.skip("connections.delete", "The form of the answer.", reason)


def connections(run: Run) -> None:
    """Connections from the compute container to the managed service."""
    source, target = run.main, run.second
    if source is None or target is None:
        return
    _targets(run, source, target)
    # First, because the API may treat it as a missing name, and the target's name can be used once.
    null = run.api.call("connections.create", source, target, body={"connectionName": None})
    run.refuses("connections.create", "null as the name.", null)
    if not null.refused:
        _remove_all(run, source, target)
    first = _connect(run, source, target)
    _restarted(run, source, target)
    run.guide_form("connections.create", first)
    run.judge("connections.create", "The status code is 200.", first.status == 200, first.describe())
    run.judge(
        "connections.create",
        "Without a name",
        first.ok and first.get("connectionName") == reading.field(run.row(target), "name"),
        "so it is" if first.ok else first.describe(),
    )
    variables = first.get("environmentVariables")
    names = set(variables if isinstance(variables, dict) else ()) if first.ok else set()
    text = "The variables of everything but PostgreSQL."
    if names == _VARIABLES:
        run.skip("connections.create", text, f"those of {MANAGED} agree; the others are not created")
    else:
        run.judge("connections.create", text, holds=False, evidence=f"{MANAGED}: {', '.join(sorted(names))}")
    if first.ok:
        _appears(run, source, target)
    run.same_creation(_IDENTITY, "connect")
    _name(run, source, target)
    _refusals(run, source, target, first)
    _listed(run, source, target)
    _remove_all(run, source, target)


def _restarted(run: Run, source: str, target: str) -> None:
    """Note which containers a connection restarts, and wait until both run."""
    at_once = {id_: run.look(id_).means for id_ in (source, target)}
    both = at_once[target] != "running"
    run.learned.note("connections.restarts_both", both, f"after a connection its target is {at_once[target]}")
    for id_ in (source, target):
        run.reach(id_, "running", "restarting")


def _appears(run: Run, source: str, target: str) -> None:
    """Measure when a connection is listed, and where."""
    began = run.now()
    times: dict[str, float] = {}

    def look() -> int:
        late = run.now() - began
        for where, id_ in (("source", source), ("target", target)):
            if _rows(run, id_):
                times.setdefault(where, late if late >= run.interval / 2 else 0.0)
        return len(times)

    run.timed(look, lambda count: count == 2, "a connection at both of its ends", 3 * run.pace.lag)
    if not times:
        run.problems.append("connections: a new connection was listed nowhere")
        return
    where = "both" if len(times) == 2 else next(iter(times))
    run.learned.note("connections.listed_at", where, f"a connection is listed at the {where} only")
    seconds = max(times.values())
    run.learned.seconds(
        "connections.listed_seconds", seconds, f"a connection was listed {seconds:.0f} s later"
    )


def _name(run: Run, source: str, target: str) -> None:
    """Note how a name is spelled in the answer, or in the list."""
    answer = _connect(run, source, target, _MIXED)
    if not answer.ok:
        return
    for id_ in (source, target):
        run.reach(id_, "running", "restarting")
    named = answer.get("connectionName")
    listed = [
        reading.field(row, "connection_name", "name") for row in (*_rows(run, source), *_rows(run, target))
    ]
    names = [it for it in (named, *listed) if isinstance(it, str) and it.lower().startswith(_MIXED.lower())]
    # The list is what a later look sees, so it counts more than the answer.
    name = names[-1] if names else None
    if name is not None:
        form = "given" if name == _MIXED else "lower" if name == _MIXED.lower() else "unique"
        run.learned.note("connections.name_form", form, f"{_MIXED} is {name}")


def _targets(run: Run, source: str, target: str) -> None:
    answer = run.api.call("connections.targets", source)
    run.guide_form("connections.targets", answer)
    everything = {container_id(entry) for entry in _objects(answer.get("all"))}
    live = [row for row in run.rows() if run.means(row) not in {"deleting", "deleted"}]
    others = {container_id(row) for row in live} - {source}
    cache = [entry for entry in _objects(answer.get("caches")) if container_id(entry) == target]
    agrees = everything == others and [entry.get("suggested") for entry in cache] == [True]
    evidence = f"{len(everything)} of {len(others)} containers; {len(cache)} as a cache"
    run.judge("connections.targets", "Every other container", agrees, evidence)


def _refusals(run: Run, source: str, target: str, first: Answer) -> None:
    taken = reading.word(first.get("connectionName")) if first.ok else "taken"
    doubtful = [_connect(run, source, target, taken), _connect(run, source, source, "itself")]
    run.judge(
        "connections.create",
        "A name that the source has",
        all(answer.status == 400 for answer in doubtful),
        ", ".join(answer.describe() for answer in doubtful),
    )
    lengths = [_connect(run, source, target, "n" * length) for length in (_LONGEST, _LONGEST + 1)]
    run.judge(
        "connections.create",
        "A name has at most 64",
        lengths[0].ok and lengths[1].status == 400,
        f"{lengths[0].describe()} for 64, {lengths[1].describe()} for 65",
    )
    for id_ in (source, target):
        run.reach(id_, "running", "restarting")
    run.set_status(target, "stopped")
    stopped = _connect(run, source, target, "to-a-stopped-one")
    run.refuses("connections.create", "Both containers must be running.", stopped)
    run.set_status(target, "running")


def _listed(run: Run, source: str, target: str) -> None:
    outgoing = run.api.call("connections.list", source)
    run.guide_form("connections.list", outgoing)
    incoming = run.api.call("connections.list", target)
    wanted = {"source_name", "source_type", "source_status", "connection_name", "connection_type"}
    fields = [set(entry) for entry in _objects(incoming.get("incoming"))]
    agrees = bool(fields) and all(wanted <= found for found in fields)
    run.judge("connections.list", "An incoming connection", agrees, f"{len(fields)} incoming connections")


def _remove_all(run: Run, source: str, target: str) -> None:
    """Delete every connection between the two, and measure when a list shows it."""

    def ids() -> list[str]:
        rows = (*_rows(run, source), *_rows(run, target))
        return list(
            dict.fromkeys(id_ for row in rows if (id_ := reading.word(reading.field(row, "id"))) is not None)
        )

    # A list that is behind would not have them yet.
    run.sleep(run.pace.lag)
    for id_ in ids():
        run.form("connections.delete", run.api.call("connections.delete", id_))
    for id_ in (source, target):
        run.reach(id_, "running", "restarting")
    _, seconds = run.timed(ids, lambda found: not found, "the removal of connections", run.pace.visible)
    if seconds is not None:
        run.learned.seconds(
            "connections.removal_seconds", seconds, f"deleted connections were listed for {seconds:.0f} s"
        )


def _rows(run: Run, id_: str) -> list[dict[str, Any]]:
    """Return the connections in the list of a container, in both directions."""
    answer = run.api.call("connections.list", id_)
    both = [*_objects(answer.get("outgoing")), *_objects(answer.get("incoming"))]
    return both or answer.rows()


def _objects(value: Any) -> list[dict[str, Any]]:
    return (
        [entry for entry in value if isinstance(entry, dict)]
        if isinstance(value, Iterable) and not isinstance(value, (str, dict))
        else []
    )


def _connect(run: Run, source: str, target: str, name: str | None = None) -> Answer:
    body = None if name is None else {"connectionName": name}
    return run.api.call("connections.create", source, target, body=body)
