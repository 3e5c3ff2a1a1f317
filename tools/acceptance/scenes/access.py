"""External access and allowed addresses of the compute container."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from tools.acceptance import reading
from tools.acceptance.lists import Listing
from tools.acceptance.run import Run

__all__ = ["external_access"]

_RANGE: Final = "198.51.100.0/24"
_ADDED: Final = ("203.0.113.9", "2001:db8::7", _RANGE)
_AUTO: Final = "Your IP (Auto-added)"


def external_access(run: Run) -> None:
    """Disable access, enable it, change the list of addresses, and disable it again."""
    id_ = run.main
    if id_ is None:
        return
    off = _listed(run, id_)
    run.guide_form("allowed_ips.list", off.answer)
    empty = _is_off(off)
    run.judge("allowed_ips.list", "While access is off", empty, "so it is" if empty else "something is left")
    early = run.api.call("allowed_ips.add", id_, body={"ip_address": _RANGE})
    run.refuses("allowed_ips.add", "Any entry while", early)
    on = run.api.call("containers.external_access", id_, body={"enabled": True})
    missing = [name for name in ("your_ip", "subdomain", "url") if on.get(name) is None]
    run.judge(
        "containers.external_access",
        "The answer to enabling",
        on.ok and not missing,
        f"{on.status}, missing: {', '.join(missing)}" if missing else "all three",
    )
    if on.ok:
        run.learned.note(
            "access.url_in_answer", on.get("url") is not None, "the answer to opening has no url"
        )
    try:
        _opened(run, id_)
        _list(run, id_)
        run.same_creation("It stays the same over external access.", "external_access")
    finally:
        closed = run.api.call("containers.external_access", id_, body={"enabled": False})
    run.form("containers.external_access", closed, "The answer to disabling.")
    after, seconds = run.timed(lambda: _listed(run, id_), _is_off, "the end of access", run.pace.visible)
    _settled(run, seconds, "closing")
    gone = _is_off(after)
    run.judge(
        "containers.external_access", "Disabling removes", gone, "so it does" if gone else "something is left"
    )


def _settled(run: Run, seconds: float | None, what: str) -> None:
    if seconds is not None:
        run.learned.most("access.settle_seconds", seconds, f"{what} was in effect later than its answer")


def _opened(run: Run, id_: str) -> None:
    """Measure when the list has the access, and the caller's address, which is the entry that was not there before."""
    began = run.now()
    times: dict[str, float] = {}

    def look() -> Listing:
        late = run.now() - began
        late = late if late >= run.interval / 2 else 0.0
        listing = _listed(run, id_)
        flag = str(listing.answer.get("external_access_enabled")).lower()
        if listing.answer.get("url") is not None or flag in {"true", "1"}:
            times.setdefault("open", late)
        if listing.rows:
            times.setdefault("own", late)
        return listing

    listing, _ = run.timed(
        look, lambda _: len(times) == 2, "open access with the caller's address", run.pace.visible
    )
    _settled(run, times.get("open"), "opening")
    entries = listing.rows
    if "own" in times:
        late = times["own"] - times.get("open", 0.0)
        run.learned.seconds(
            "access.own_address_seconds",
            late,
            f"the caller's address was listed {late:.0f} s after the access",
        )
    if len(entries) == 1:
        text = reading.field(entries[0], "description")
        # A text that was seen for one entry that no request has added is that of the caller's address.
        if isinstance(text, str) and text:
            run.learned.note("access.own_address_description", text, "the one entry after opening")


def _list(run: Run, id_: str) -> None:
    first = _listed(run, id_)
    run.guide_form("allowed_ips.list", first.answer)
    auto = [entry for entry in first.rows if reading.field(entry, "description") == _AUTO]
    run.judge("containers.external_access", "Enabling adds", len(auto) == 1, f"{len(auto)} such entry")
    run.api.call("containers.external_access", id_, body={"enabled": True})
    again = _listed(run, id_)
    same = first.answer.get("subdomain") == again.answer.get("subdomain")
    run.judge("containers.external_access", "Enabling again", same, "the same" if same else "another")
    answers = [run.api.call("allowed_ips.add", id_, body={"ip_address": address}) for address in _ADDED]
    run.form("allowed_ips.add", answers[0])
    codes = ", ".join(answer.describe() for answer in answers)
    run.judge("allowed_ips.add", "IPv4 and IPv6", all(answer.ok for answer in answers), codes)
    wanted = sum(answer.ok for answer in answers)
    networks = {_network(address) for address in _ADDED}
    added, seconds = run.timed(
        lambda: [
            it for it in _listed(run, id_).rows if _network(reading.field(it, "ip_address")) in networks
        ],
        lambda found: len(found) >= wanted,
        "the new addresses",
        run.pace.visible,
    )
    _settled(run, seconds, "adding an address")
    given = [it for it in added if reading.field(it, "ip_address") in _ADDED]
    if added:
        form = "given" if len(given) == len(added) else "network"
        run.learned.note(
            "access.address_form", form, f"{len(added) - len(given)} of {len(added)} are spelt otherwise"
        )
    defaults = {
        (reading.field(entry, "description"), reading.field(entry, "service_type")) for entry in added
    }
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
    unknown = run.api.call(
        "allowed_ips.add", id_, body={"ip_address": "192.0.2.98", "descripton": "misspelt"}
    )
    run.refuses("every BadRequest answer", "A field of a body", unknown, field_name="descripton")
    untyped = run.api.call("allowed_ips.add", id_, body=b'{"ip_address": "192.0.2.97"}')
    run.refuses("every BadRequest answer", "A body whose Content-Type", untyped)
    _remove(run, id_)


def _remove(run: Run, id_: str) -> None:
    entries = _listed(run, id_).rows
    for number, entry in enumerate(entries, start=1):
        answer = run.api.call("allowed_ips.remove", id_, str(reading.word(reading.field(entry, "id"))))
        if number == len(entries):
            run.judge_refusal("allowed_ips.remove", "The last address cannot", answer)
            run.refuses("allowed_ips.remove", "The last address is refused", answer)
        else:
            run.form("allowed_ips.remove", answer)
            if number == 1 and answer.ok:
                _removed(run, id_, reading.field(entry, "id"))


def _removed(run: Run, id_: str, number: Any) -> None:
    """Measure when an address is no longer listed."""
    _, seconds = run.timed(
        lambda: [reading.field(entry, "id") for entry in _listed(run, id_).rows],
        lambda listed: number not in listed,
        "the removal of an address",
        run.pace.visible,
    )
    _settled(run, seconds, "removing an address")


def _listed(run: Run, id_: str) -> Listing:
    return run.lists.read("allowed_ips.list", id_)


def _network(address: Any) -> str:
    """Return an address in one spelling."""
    try:
        return str(ipaddress.ip_network(str(address), strict=False))
    except ValueError:
        return str(address)


def _is_off(listing: Listing) -> bool:
    answer = listing.answer
    return answer.ok and answer.get("subdomain") is None and answer.get("url") is None and not listing.rows
