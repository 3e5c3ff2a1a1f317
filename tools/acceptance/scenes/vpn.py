"""VPN clients: the refusals of another container, and a VPN, if the budget allows one."""

from __future__ import annotations

from typing import Final

from stacks_pulumi import catalog
from stacks_pulumi.api._bodies import items
from stacks_pulumi.api.models import VpnClient
from tools.acceptance.api import Answer
from tools.acceptance.run import LASTING, Run, id_of
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
    answer = run.create("-vpn", price, template=catalog.VPN_TEMPLATE)
    if answer is None or not answer.ok:
        reason = (
            run.over_budget(price) if answer is None else f"the creation was refused: {answer.describe()}"
        )
        for subject, text in _NEEDS_ONE:
            run.skip(subject, text, reason)
        return
    id_ = id_of(answer)
    plan = answer.data.get("plan")
    run.judge("containers.create", "stacks-vpn has its own plan", plan == "vpn", f"{plan}")
    run.wait(id_, LASTING)
    try:
        _clients(run, id_)
        run.set_status(id_, "stopped")
        stopped = run.api.call("vpn_clients.add", id_, body={"name": "too-late"})
        run.refuses("vpn_clients.add", "The VPN must run.", stopped)
    finally:
        run.discard(id_)


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
    default = run.api.call("vpn_clients.config", id_, query={"client": "default"})
    without = run.api.call("vpn_clients.config", id_)
    same = without.ok and digest_of(without) == digest_of(default)
    run.judge("vpn_clients.config", "Without a client", same, "so it is" if same else without.describe())
    run.form("vpn_clients.remove", run.api.call("vpn_clients.remove", id_, "laptop"))
    removed = run.api.call("vpn_clients.remove", id_, "default")
    run.judge("vpn_clients.remove", "The default client", removed.ok, removed.describe())


def _names(answer: Answer) -> list[str]:
    if not answer.ok:
        return []
    return [client.name for client in items(VpnClient, answer.body, "clients", bare=("name",)) if client.name]
