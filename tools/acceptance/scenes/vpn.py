"""VPN clients: the refusals of another container, and a VPN, if the budget allows one."""

from __future__ import annotations

from typing import Final

from stacks_pulumi import catalog
from tools.acceptance import reading
from tools.acceptance.api import Answer
from tools.acceptance.arrival import arrive
from tools.acceptance.departure import discard
from tools.acceptance.run import Run
from tools.acceptance.scenes.files import digest_of

__all__ = ["not_a_vpn", "vpn"]

_NEEDS_ONE: Final = (
    ("containers.create", "stacks-vpn has its own plan"),
    ("vpn_clients.list", "The form of the answer."),
    ("vpn_clients.list", "A new VPN has one client"),
    ("vpn_clients.add", "The form of the answer."),
    ("vpn_clients.add", "Names are 1 to 64"),
    ("vpn_clients.add", "The VPN must run."),
    ("vpn_clients.config", "The form of the answer."),
    ("vpn_clients.config", "Without a client"),
    ("vpn_clients.remove", "The form of the answer."),
    ("vpn_clients.remove", "The default client"),
)


def not_a_vpn(run: Run) -> None:
    """The VPN operations on the compute container."""
    if run.main is None:
        return
    for operation, values, body in (
        ("vpn_clients.list", (), None),
        ("vpn_clients.add", (), {"name": "laptop"}),
        ("vpn_clients.config", (), None),
        ("vpn_clients.remove", ("laptop",), None),
    ):
        answer = run.api.call(operation, run.main, *values, body=body)
        run.refuses(operation, "A container that is not a stacks-vpn", answer)


def vpn(run: Run) -> None:
    """A VPN and its clients."""
    price = run.price(catalog.VPN_TEMPLATE, None)
    created = run.create("-vpn", price, template=catalog.VPN_TEMPLATE)
    id_ = None if created is None else arrive(run, created)
    if created is None or id_ is None:
        reason = (
            run.over_budget(price) if created is None else f"there is no VPN: {created.answer.describe()}"
        )
        for subject, text in _NEEDS_ONE:
            run.skip(subject, text, reason)
        return
    plan = created.answer.get("plan")
    run.judge("containers.create", "stacks-vpn has its own plan", plan == "vpn", f"{reading.word(plan)}")
    try:
        _clients(run, id_)
        run.set_status(id_, "stopped")
        stopped = run.api.call("vpn_clients.add", id_, body={"name": "too-late"})
        run.refuses("vpn_clients.add", "The VPN must run.", stopped)
    finally:
        discard(run, id_)


def _clients(run: Run, id_: str) -> None:
    listed = run.api.call("vpn_clients.list", id_)
    run.form("vpn_clients.list", listed)
    names = _names(listed)
    run.judge("vpn_clients.list", "A new VPN has one client", names == ["default"], f"{len(names)} clients")
    added = run.api.call("vpn_clients.add", id_, body={"name": "laptop"})
    run.form("vpn_clients.add", added)
    odd = [
        run.api.call("vpn_clients.add", id_, body={"name": name}) for name in ("laptop", "", "n" * 65, "a\tb")
    ]
    longest = run.api.call("vpn_clients.add", id_, body={"name": "n" * 64})
    run.judge(
        "vpn_clients.add",
        "Names are 1 to 64",
        longest.ok and all(answer.status == 400 for answer in odd),
        f"{longest.describe()} for 64; {', '.join(answer.describe() for answer in odd)} for the others",
    )
    config = run.api.call("vpn_clients.config", id_, query={"client": "laptop"})
    run.form("vpn_clients.config", config)
    _where(run, added, config, run.api.call("vpn_clients.config", id_, query={"client": "laptop"}))
    default = run.api.call("vpn_clients.config", id_, query={"client": "default"})
    without = run.api.call("vpn_clients.config", id_)
    same = without.ok and digest_of(without) == digest_of(default)
    run.judge("vpn_clients.config", "Without a client", same, "so it is" if same else without.describe())
    run.form("vpn_clients.remove", run.api.call("vpn_clients.remove", id_, "laptop"))
    removed = run.api.call("vpn_clients.remove", id_, "default")
    run.judge("vpn_clients.remove", "The default client", removed.ok, removed.describe())


def _where(run: Run, added: Answer, config: Answer, again: Answer) -> None:
    """Note which answer has the configuration of a new client; only its presence is kept."""
    answers = (added, config, again)
    given, later, twice = ("[Interface]" in it.text or "PrivateKey" in it.text for it in answers)
    if later or given:
        codes = ", ".join(it.describe() for it in answers)
        evidence = f"the answer that adds a client, and two downloads: {codes}"
        where = "download" if twice else "once" if later else "create"
        run.learned.note("vpn_clients.config_in", where, evidence)


def _names(answer: Answer) -> list[str]:
    if not answer.ok:
        return []
    found = answer.get("clients", "vpn_clients", "data")
    return reading.names_in(answer.body if found is None else found, "name", "client", "client_name")
