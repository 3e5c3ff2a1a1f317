"""A second container, a managed service, and connections to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tools.acceptance.api import Answer
from tools.acceptance.run import LASTING, MANAGED, Run, id_of

__all__ = ["connections", "managed_service"]

_LONGEST: Final = 64
_VARIABLES: Final = {"REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"}
_ADMIN: Final = "The user of every managed service but PostgreSQL is admin."
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
        taken = run.create("-Main", price, template=MANAGED, plan="micro")
        if taken is None:
            run.skip("containers.create", "A name that is taken", run.over_budget(price))
        else:
            run.refuses("containers.create", "A name that is taken", taken, field_name="name")
            run.second = id_of(taken) if taken.ok else None
    answer = None if run.second is not None else run.create("-data", price, template=MANAGED, plan="micro")
    if answer is None and run.second is None:
        _skip_second(run, run.over_budget(price))
        return
    if answer is not None:
        if not answer.ok:
            msg = f"the creation of {MANAGED} was refused with {answer.describe()}"
            raise LookupError(msg)
        run.second = id_of(answer)
        ssh = [answer.data.get("sshUser"), answer.data.get("sshPort")]
        run.judge(
            "containers.create",
            "sshUser and sshPort",
            ssh == [None, None],
            "null" if ssh == [None, None] else "given",
        )
        if answer.data.get("hasSshAccess") is not False:
            run.judge(
                "containers.create",
                "Compute templates are",
                holds=False,
                evidence=f"{MANAGED} has SSH access",
            )
    id_ = str(run.second)
    run.wait(id_, LASTING)
    for operation in ("containers.certificate", "containers.regenerate_certificate"):
        run.refuses(operation, "A managed service is a 400.", run.api.call(operation, id_))
    login = run.api.call("containers.credentials", id_)
    user = (
        (login.data.get("mainCredentials") or {}).get("username") if isinstance(login.data, Mapping) else None
    )
    if user == "admin":
        run.skip("containers.credentials", _ADMIN, f"so it is for {MANAGED}; the others are not created")
    else:
        run.judge("containers.credentials", _ADMIN, holds=False, evidence=f"{MANAGED} has another user")


def _skip_second(run: Run, reason: str) -> None:
    run.skip("containers.create", "sshUser and sshPort", reason)
    for operation in ("containers.certificate", "containers.regenerate_certificate"):
        run.skip(operation, "A managed service is a 400.", reason)
    run.skip("containers.credentials", _ADMIN, reason)
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
    for number in _ids(run, source):
        run.api.call("connections.delete", number)
    first = _connect(run, source, target)
    run.guide_form("connections.create", first)
    run.judge("connections.create", "The status code is 200.", first.status == 200, first.describe())
    run.judge(
        "connections.create",
        "Without a name",
        first.ok and first.data.get("connectionName") == (run.row(target) or {}).get("name"),
        "so it is" if first.ok else first.describe(),
    )
    variables = set(first.data.get("environmentVariables") or ()) if first.ok else set()
    text = "The variables of everything but PostgreSQL."
    if variables == _VARIABLES:
        run.skip("connections.create", text, f"those of {MANAGED} agree; the others are not created")
    else:
        run.judge(
            "connections.create", text, holds=False, evidence=f"{MANAGED}: {', '.join(sorted(variables))}"
        )
    _refusals(run, source, target, first)
    _listed(run, source, target)
    for number in _ids(run, source):
        run.form("connections.delete", run.api.call("connections.delete", number))


def _targets(run: Run, source: str, target: str) -> None:
    answer = run.api.call("connections.targets", source)
    run.guide_form("connections.targets", answer)
    data: Mapping[str, Any] = answer.data if isinstance(answer.data, Mapping) else {}
    everything = {entry.get("id") for entry in data.get("all") or ()}
    others = {row.get("id") for row in run.rows() if row.get("status") != "deleting"} - {source}
    cache = [entry for entry in data.get("caches") or () if entry.get("id") == target]
    agrees = everything == others and [entry.get("suggested") for entry in cache] == [True]
    evidence = f"{len(everything)} of {len(others)} containers; {len(cache)} as a cache"
    run.judge("connections.targets", "Every other container", agrees, evidence)


def _refusals(run: Run, source: str, target: str, first: Answer) -> None:
    taken = first.data.get("connectionName") if first.ok else "taken"
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
    run.set_status(target, "stopped")
    stopped = _connect(run, source, target, "to-a-stopped-one")
    run.refuses("connections.create", "Both containers must be running.", stopped)
    run.set_status(target, "running")


def _listed(run: Run, source: str, target: str) -> None:
    outgoing = run.api.call("connections.list", source)
    run.guide_form("connections.list", outgoing)
    incoming = run.api.call("connections.list", target)
    data: Mapping[str, Any] = incoming.data if isinstance(incoming.data, Mapping) else {}
    wanted = {"source_name", "source_type", "source_status", "connection_name", "connection_type"}
    fields = [set(entry) for entry in data.get("incoming") or ()]
    agrees = bool(fields) and all(wanted <= found for found in fields)
    run.judge("connections.list", "An incoming connection", agrees, f"{len(fields)} incoming connections")


def _connect(run: Run, source: str, target: str, name: str | None = None) -> Answer:
    body = None if name is None else {"connectionName": name}
    return run.api.call("connections.create", source, target, body=body)


def _ids(run: Run, source: str) -> list[str]:
    data = run.api.call("connections.list", source).data
    found = data.get("outgoing") if isinstance(data, Mapping) else None
    return [str(entry["id"]) for entry in found or () if isinstance(entry, Mapping) and "id" in entry]
