"""External access and allowed addresses of the compute container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tools.acceptance.run import Run

__all__ = ["external_access"]

_RANGE: Final = "198.51.100.0/24"
_ADDED: Final = ("203.0.113.9", "2001:db8::7", _RANGE)


def external_access(run: Run) -> None:
    """Disable access, enable it, change the list of addresses, and disable it again."""
    id_ = run.main
    if id_ is None:
        return
    off = run.api.call("allowed_ips.list", id_)
    run.guide_form("allowed_ips.list", off)
    empty = _is_off(off.data)
    run.judge("allowed_ips.list", "While access is off", empty, "so it is" if empty else "something is left")
    early = run.api.call("allowed_ips.add", id_, body={"ip_address": _RANGE})
    run.refuses("allowed_ips.add", "Any entry while", early)
    on = run.api.call("containers.external_access", id_, body={"enabled": True})
    missing = [
        name
        for name in ("your_ip", "subdomain", "url")
        if not isinstance(on.data, Mapping) or name not in on.data
    ]
    run.judge(
        "containers.external_access",
        "The answer to enabling",
        on.ok and not missing,
        f"{on.status}, missing: {', '.join(missing)}" if missing else "all three",
    )
    try:
        _list(run, id_)
    finally:
        closed = run.api.call("containers.external_access", id_, body={"enabled": False})
    run.form("containers.external_access", closed, "The answer to disabling.")
    after = run.api.call("allowed_ips.list", id_)
    gone = _is_off(after.data)
    run.judge(
        "containers.external_access", "Disabling removes", gone, "so it does" if gone else "something is left"
    )


def _list(run: Run, id_: str) -> None:
    first = run.api.call("allowed_ips.list", id_)
    run.guide_form("allowed_ips.list", first)
    auto = [entry for entry in _entries(first.data) if entry.get("description") == "Your IP (Auto-added)"]
    run.judge("containers.external_access", "Enabling adds", len(auto) == 1, f"{len(auto)} such entry")
    run.api.call("containers.external_access", id_, body={"enabled": True})
    again = run.api.call("allowed_ips.list", id_)
    same = first.data.get("subdomain") == again.data.get("subdomain")
    run.judge("containers.external_access", "Enabling again", same, "the same" if same else "another")
    answers = [run.api.call("allowed_ips.add", id_, body={"ip_address": address}) for address in _ADDED]
    run.form("allowed_ips.add", answers[0])
    codes = ", ".join(answer.describe() for answer in answers)
    run.judge("allowed_ips.add", "IPv4 and IPv6", all(answer.ok for answer in answers), codes)
    added = [
        it for it in _entries(run.api.call("allowed_ips.list", id_).data) if it.get("ip_address") in _ADDED
    ]
    defaults = {(entry.get("description"), entry.get("service_type")) for entry in added}
    run.judge(
        "allowed_ips.add",
        "The default description",
        defaults == {("Custom IP", "both")},
        f"{sorted(map(str, defaults))}",
    )
    for text, body in (
        ("A second entry for one address", {"ip_address": _RANGE, "service_type": "http"}),
        ("An address that is none", {"ip_address": "198.51.100.300"}),
        ("A CIDR range with host bits set.", {"ip_address": "192.0.2.7/24"}),
        ("null for an optional field.", {"ip_address": "192.0.2.99", "description": None}),
    ):
        run.refuses("allowed_ips.add", text, run.api.call("allowed_ips.add", id_, body=body))
    _remove(run, id_)


def _remove(run: Run, id_: str) -> None:
    entries = _entries(run.api.call("allowed_ips.list", id_).data)
    for number, entry in enumerate(entries, start=1):
        answer = run.api.call("allowed_ips.remove", id_, str(entry.get("id")))
        if number == len(entries):
            run.judge("allowed_ips.remove", "The last address cannot", not answer.ok, answer.describe())
            run.refuses("allowed_ips.remove", "The last address is refused", answer)
        else:
            run.form("allowed_ips.remove", answer)


def _entries(data: Any) -> list[dict[str, Any]]:
    found = data.get("allowed_ips") if isinstance(data, Mapping) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _is_off(data: Any) -> bool:
    if not isinstance(data, Mapping):
        return False
    return data.get("subdomain") is None and data.get("url") is None and data.get("allowed_ips") == []
