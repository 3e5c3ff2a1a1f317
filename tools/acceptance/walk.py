"""The run: the life of a container and its child objects, in independent steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import seconds_of
from stacks_pulumi.api import _bodies, _unshaped
from stacks_pulumi.api._bodies import done, item, items
from stacks_pulumi.api.models import AllowedIp, Backup, Container, ExternalAccess, VpnClient
from stacks_pulumi.errors import StacksError
from tools.acceptance.findings import Findings
from tools.acceptance.record import Record
from tools.acceptance.sweep import Sweep
from tools.acceptance.wire import Heard, OutOfTimeError, Wire, ids_in

__all__ = ["Walk"]

T = TypeVar("T")

_WORDS: Final = frozenset(
    {"pending", "starting", "running", "stopping", "stopped", "restarting", "error", "deleting", "deleted"}
)
_LASTING: Final = frozenset({"running", "stopped", "error"})
_OWN_ADDRESS: Final = "Your IP (Auto-added)"
_RESERVE: Final = 240.0
"""Seconds that are reserved for the sweep."""


def _is_pinned(look: Callable[[], Backup | None], known: Backup, *, wanted: bool) -> bool:
    """Return whether a backup is pinned, or not pinned, as requested; an unlisted backup is treated as unchanged."""
    return bool((look() or known).pinned) is wanted


class Walk:
    """
    One run.

    Args:
        wire: Sends requests.
        record: The names and ids of the run, on the disk.
        max_usd: The highest cost of the run; each container counts with the price of a full month.
        minutes: The time limit of the run, including its sweep.
        patience: The timeout for a boot or a backup, in seconds.
        interval: Seconds between two reads.

    Attributes:
        findings: The findings of the run.
        spent: The highest possible cost so far.
        prefix: The prefix of the run's containers.
        later: Names whose containers may still appear.
        failed: Whether a step could not continue.
    """

    def __init__(
        self,
        wire: Wire,
        record: Record,
        *,
        max_usd: Decimal = Decimal(1),
        minutes: float = 15.0,
        patience: float = 300.0,
        interval: float = 2.0,
    ) -> None:
        self.findings = Findings()
        self.spent = Decimal(0)
        self.later: list[str] = []
        self.failed = False
        self._wire = wire
        self._record = record
        self.prefix = record.prefix
        self._max_usd = max_usd
        self._end = wire.now() + minutes * 60
        self._reserve = min(_RESERVE, minutes * 30)
        self._patience = patience
        self._interval = interval
        self._main: Container | None = None
        self._born: str | None = None
        self._unread = 0

    def run(self, say: Callable[[str], None]) -> list[str]:
        """
        Run every step, then delete the created containers; `say` receives the name of each step.

        Returns:
            The containers that are left.
        """
        self._wire.until = self._end - self._reserve
        try:
            for step in (
                self._templates,
                self._create,
                self._files,
                self._life,
                self._access,
                self._backup,
                self._connection,
                self._vpn,
                self._delete,
            ):
                say(step.__name__.strip("_"))
                try:
                    step()
                except OutOfTimeError as error:
                    self.findings.problems.append(f"{step.__name__.strip('_')} and all later steps: {error}")
                    self.failed = True
                    break
                except Exception as error:  # noqa: BLE001  (a failed step must not end the other steps)
                    self.failed = True
                    self.findings.problems.append(f"{step.__name__.strip('_')}: {error}")
        finally:
            left = self.sweep(say)
        return left

    def sweep(self, say: Callable[[str], None]) -> list[str]:
        """Delete the run's containers; return the remaining ones."""
        say("sweep")
        self._wire.until = self._end
        sweep = Sweep(self._wire, [self._record], self._interval)
        try:
            return sweep.clean()
        except StacksError as error:
            self.findings.problems.append(f"sweep: {error}")
            return [f"perhaps {self._record.prefix}..."]
        finally:
            self.findings.problems += sweep.notes
            self.later += sweep.later

    # --- the steps ---

    def _templates(self) -> None:
        """Read the list of templates; find the field and the unit of the price."""
        listed = self._ask("containers.templates", parse=_unshaped.templates)
        rows = [row for row in listed.value or () if row.id in catalog.TEMPLATES]
        if listed.ok and not rows:
            self.findings.differ("GET /containers/templates: it lists no template of the guide")
        fits: dict[tuple[str, str], int] = {}
        for row in rows:
            size = catalog.TEMPLATES[row.id].plan or catalog.VPN_PLAN
            for path, value in _numbers(row.raw or {}):
                for unit, factor in (("dollars", 1), ("cents", 100)):
                    if abs(value - float(size.usd) * factor) < 1e-6:
                        fits[path, unit] = fits.get((path, unit), 0) + 1
        whole = [found for found, count in fits.items() if count == len(rows)]
        if rows and len(whole) != 1:
            seen = ", ".join(f"{path} in {unit}" for path, unit in whole) or "no field"
            self.findings.differ(f"GET /containers/templates: the catalogue's price is in {seen}")
        elif rows and whole[0] != ("price", "dollars"):
            evidence = f"it is the catalogue's price for all {len(rows)} templates"
            self.findings.facts["prices.field"] = (whole[0][0], evidence)
            self.findings.facts["prices.unit"] = (whole[0][1], evidence)

    def _create(self) -> None:
        """Create a container, and wait until it is running."""
        self._main = self._new("main", "ubuntu-micro")
        if self._main is not None and self._ask_for("main", "ubuntu-micro", again=True).accepted:
            self.findings.differ("POST /containers: a name that is already in use is accepted")

    def _files(self) -> None:
        """Read the credentials, logs, metrics and certificate of a container."""
        id_ = self._running()
        self._ask("containers.credentials", id_, parse=_unshaped.credentials)
        self._ask("containers.logs", id_, parse=_unshaped.text_of)
        self._ask("containers.metrics", id_, parse=_unshaped.metrics)
        self._ask("containers.certificate", id_, parse=_unshaped.private_key)
        self._ask("backups.stats", parse=done)

    def _life(self) -> None:
        """
        Restart, stop and start the container: its creation time must not change, and the list must show each status.
        """
        id_ = self._running()
        for action, word, operation in (
            ("restart", "running", "restart"),
            ("stopped", "stopped", None),
            ("running", "running", "start"),
        ):
            self._ask("containers.set_status", id_, parse=done, body={"status": action})
            self._settled(id_, word)
            behind = self._until(functools.partial(self._lists_as, id_, word), 60)
            self.findings.seconds("lists.lag_seconds", behind, f"the list shows {word} after the status")
            self._same_birth(operation)

    def _lists_as(self, id_: str, word: str) -> bool:
        """Whether the list shows a container with that status."""
        row = self._row(id_)
        return row is not None and row.status == word

    def _access(self) -> None:
        """Enable public access, add an address, and disable the access again."""
        id_ = self._running()
        opened = self._ask(
            "containers.external_access",
            id_,
            parse=lambda body: item(ExternalAccess, body),
            body={"enabled": True},
        )
        if opened.ok and not (opened.value and opened.value.url):
            self.findings.differ("PUT /containers/{id}/external-access: the answer has no url")

        def access() -> ExternalAccess:
            return self._ask("allowed_ips.list", id_, parse=_bodies.allowed_ips).value or ExternalAccess()

        took = self._until(lambda: bool(access().enabled), 120)
        self.findings.seconds("access.settle_seconds", took, "external access is on")
        own = self._until(lambda: bool(access().allowed_ips), 60)
        self.findings.seconds("access.settle_seconds", own, "the caller's address is listed")
        described = [row.description for row in access().allowed_ips or ()]
        if described and described[0] and described[0] != _OWN_ADDRESS:
            self.findings.facts["access.own_address_description"] = (described[0], "of the only address")
        added = self._ask(
            "allowed_ips.add",
            id_,
            parse=lambda body: item(AllowedIp, body),
            body={"ip_address": "198.51.100.7", "description": "acceptance", "service_type": "tcp"},
        )
        if added.accepted:

            def rows() -> list[AllowedIp]:
                return [row for row in access().allowed_ips or () if row.ip_address == "198.51.100.7"]

            took = self._until(lambda: bool(rows()), 120)
            self.findings.seconds("access.settle_seconds", took, "a new address is listed")
            for row in rows()[:1]:
                self._ask("allowed_ips.remove", id_, row.id, parse=done)
                took = self._until(lambda: not rows(), 120)
                self.findings.seconds("access.settle_seconds", took, "a removed address is not listed")
        self._same_birth("external_access")
        self._ask("containers.external_access", id_, parse=done, body={"enabled": False})
        took = self._until(lambda: access().enabled is False, 120)
        self.findings.seconds("access.settle_seconds", took, "external access is off")

    def _backup(self) -> None:
        """Create a backup, pin it, restore it and delete it."""
        id_ = self._running()

        def rows() -> list[Backup]:
            heard = self._ask(
                "backups.list", id_, parse=lambda body: items(Backup, body), query={"limit": 50}
            )
            return list(heard.value or ())

        before = {row.id for row in rows()}
        if not self._ask("backups.trigger", id_, parse=done).accepted:
            return

        def new() -> Backup | None:
            return next((row for row in rows() if row.id not in before), None)

        took = self._until(lambda: new() is not None, 180)
        self.findings.seconds("backups.listed_seconds", took, "a new backup is listed")
        self._until(lambda: (new() or Backup(id=0)).status in {"completed", "failed"}, self._patience)
        backup = new()
        if backup is None:
            return
        if backup.backup_type != "manual":
            self.findings.differ(
                f"GET .../backups: the type of a triggered backup is {backup.backup_type}, not manual"
            )
        if backup.status != "completed":
            self.findings.differ(f"GET .../backups: a backup ends as {backup.status}, not completed")
            return
        for endpoint, wanted in (("backups.pin", True), ("backups.unpin", False)):
            self._ask(endpoint, backup.id, parse=done)
            took = self._until(functools.partial(_is_pinned, new, backup, wanted=wanted), 180)
            self.findings.seconds("backups.pinned_seconds", took, f"the list shows pinned {wanted}")
        self._ask("backups.restore", backup.id, parse=done)
        self._settled(id_, "running")
        self._same_birth("restore")
        self._ask("backups.delete", backup.id, parse=done)

    def _connection(self) -> None:
        """Connect a second container, and read the connection at both ends."""
        id_ = self._running()
        target = self._new("data", "redis-micro")
        if target is None:
            return
        self._ask("connections.targets", id_, parse=_bodies.targets)
        body = {"connectionName": "acceptance"}
        made = self._ask("connections.create", id_, target.id, parse=_bodies.created_connection, body=body)

        def rows(container_id: str) -> list[Any]:
            value = self._ask("connections.list", container_id, parse=_bodies.connections).value
            return [] if value is None else [*value.outgoing, *value.incoming]

        if not made.accepted:
            return
        took = self._until(lambda: bool(rows(id_)), 120)
        self.findings.seconds("connections.listed_seconds", took, "a new connection is listed at its source")
        if not rows(target.id):
            self.findings.differ("GET .../connections: its target does not list a connection")
        self._same_birth("connect")
        for row in rows(id_):
            if row.name != "acceptance":
                self.findings.differ(f"GET .../connections: the name is {row.name}, not the given name")
            self._ask("connections.delete", row.id, parse=done)
        took = self._until(lambda: not rows(id_), 120)
        self.findings.seconds("connections.listed_seconds", took, "a deleted connection is not listed")

    def _vpn(self) -> None:
        """Add a client to a VPN, and download its configuration."""
        vpn = self._new("vpn", catalog.VPN_TEMPLATE)
        if vpn is None:
            return
        self._ask("vpn_clients.list", vpn.id, parse=_unshaped.vpn_clients)
        self._ask(
            "vpn_clients.add", vpn.id, parse=lambda body: item(VpnClient, body), body={"name": "acceptance"}
        )
        for _ in range(2):
            self._ask(
                "vpn_clients.config", vpn.id, parse=_unshaped.configuration, query={"client": "acceptance"}
            )
        self._ask("vpn_clients.remove", vpn.id, "acceptance", parse=done)

    def _delete(self) -> None:
        """Delete the first container, and create another container with the same name."""
        if self._main is None:
            return
        id_ = self._main.id
        self._ask("containers.delete", id_, parse=done)
        self._until(lambda: self._status(id_).absent, self._patience)
        took = self._until(lambda: self._row(id_) is None, 120)
        self.findings.seconds("lists.lag_seconds", took, "the list shows no deleted container")
        if not self._affords("ubuntu-micro", "the name of a deleted container"):
            return
        began, heard = self._wire.now(), None

        def created() -> bool:
            nonlocal heard
            heard = self._ask_for("main", "ubuntu-micro", again=True)
            return not heard.refused

        took = self._until(created, 180)
        self.findings.seconds("containers.name_held_seconds", took, "the name of a deleted container is free")
        if heard is not None and heard.accepted:
            self._arrive(ids_in(heard.last), began)

    # --- helpers of the steps ---

    def _new(self, label: str, template: str) -> Container | None:
        """Create a container within the cost limit, wait until it is running, and return it; `None` if this fails."""
        if not self._affords(template, f"a {template}"):
            return None
        began = self._wire.now()
        heard = self._ask_for(label, template)
        if not heard.accepted:
            self.findings.problems.append(f"create {label}: {heard.error}")
            return None
        if heard.last.status != 202:
            self.findings.differ(f"POST /containers: the status is {heard.last.status}, not 202")
        return self._arrive(ids_in(heard.last), began)

    def _affords(self, template: str, what: str) -> bool:
        """Return whether the cost limit allows a template; if so, count its price."""
        size = catalog.TEMPLATES[template].plan or catalog.VPN_PLAN
        if self.spent + size.usd > self._max_usd:
            need = self.spent + size.usd
            self.findings.problems.append(f"{what} was not checked: it needs --max-usd {need:.0f} or more")
            return False
        self.spent += size.usd
        return True

    def _ask_for(self, label: str, template: str, *, again: bool = False) -> Heard[Container]:
        """Send a create request. Write its name to the disk before, and every id in the answer after."""
        name = f"{self._record.prefix}-{label}"
        size = catalog.TEMPLATES[template].plan
        body = {"name": name, "template": template, **({} if size is None else {"plan": size.name})}
        asked = self._record.ask(name, self._wire.now())
        ask = self._wire.ask if again else self._ask
        heard: Heard[Container] = ask(
            "containers.create", parse=lambda body: _bodies.created_container(body, name), body=body
        )
        if heard.refused:
            self._record.close(asked, f"refused: {heard.last.status}")
        elif not heard.accepted:
            self._record.doubt(asked, f"{heard.last.status or 'no answer'}")
        self._record.add_ids(asked, ids_in(heard.last) if heard.accepted else ())
        return heard

    def _arrive(self, ids: list[str], began: float) -> Container | None:
        """Wait until a new container is running, record when the list and the status show it, and return it."""
        name, seen = self._record.asked[-1].name, dict[str, float]()

        def look() -> bool:
            row = next((one for one in self._rows() if one.name == name or one.id in ids), None)
            own = row.id if row is not None else next(iter(ids), "")
            heard = self._status(own) if own else None
            if row is not None:
                seen.setdefault("list", self._wire.now() - began)
                self._record.add_ids(self._record.asked[-1], [row.id])
            if heard is not None and heard.ok:
                seen.setdefault("status", self._wire.now() - began)
            return heard is not None and heard.value is not None and heard.value.status in _LASTING

        ran = self._until(look, self._patience, patient=True)
        if not seen:
            self.findings.differ("a new container is visible: not before the timeout")
            return None
        if len(seen) == 2:
            late = seen["list"] - seen["status"]
            self.findings.seconds("lists.lag_seconds", max(late, 0.0), "the list shows a new container")
        row = next((one for one in self._rows() if one.name == name or one.id in ids), None)
        own = row.id if row is not None else next(iter(ids), "")
        shown = self._status(own).value
        if shown is None or ran is None:
            self.findings.problems.append(f"{name} does not run: {shown and shown.status}")
            return None
        if row is not None and row.created_at != shown.created_at:
            self.findings.differ(
                f"created_at is {row.created_at} in the list and {shown.created_at} in the status"
            )
        if row is not None and row.template != shown.template:
            self.findings.differ(
                f"the type in the list is {row.template}, but the template is {shown.template}"
            )
        self._born = self._born or shown.created_at
        return shown

    def _running(self) -> str:
        """Return the id of the first container, which is running."""
        if self._main is None:
            raise LookupError("there is no running container")
        return self._main.id

    def _settled(self, id_: str, word: str) -> None:
        """Wait until a container has a status."""
        if (
            self._until(lambda: (self._status(id_).value or Container(id="")).status == word, self._patience)
            is None
        ):
            self.findings.differ(f"GET /containers/status/{{id}}: it does not become {word}")

    def _same_birth(self, operation: str | None) -> None:
        """Record whether the creation time of the first container has changed."""
        shown = self._status(self._running()).value
        now = None if shown is None else shown.created_at
        if now is None or self._born is None or seconds_of(now) == seconds_of(self._born):
            return
        self._born = now
        if operation is not None:
            name = "containers.created_at_changes"
            why = self.findings.facts.get(name, (True, ""))[1]
            self.findings.facts[name] = (True, f"{why}; {operation}: afterwards it is {now}".lstrip("; "))

    def _rows(self) -> list[Container]:
        heard = self._ask("containers.list", parse=lambda body: items(Container, body))
        if heard.value is not None and heard.value.gap is not None:
            self.findings.differ(f"GET /containers: it is incomplete: {heard.value.gap}")
        return list(heard.value or ())

    def _row(self, id_: str) -> Container | None:
        return next((row for row in self._rows() if row.id == id_), None)

    def _status(self, id_: str) -> Heard[Container]:
        heard = self._ask("containers.status", id_, parse=lambda body: item(Container, body))
        if heard.value is not None and heard.value.status not in _WORDS:
            word = (
                f"{heard.value.status} is not a known word"
                if heard.value.status
                else "is missing or is not a text"
            )
            self.findings.differ(f"GET /containers/status/{{id}}: the status {word}")
        return heard

    def _ask(self, name: str, *ids: str | int, parse: Callable[[Any], T], **more: Any) -> Heard[T]:
        """Send a request. Record if the client refuses the form of the answer, or the API refuses the request."""
        heard = self._wire.ask(name, *ids, parse=parse, **more)
        if heard.unreadable:
            self._unread += 1
            self.findings.differ(str(heard.error))
        elif heard.error is not None and not (heard.absent and name == "containers.status"):
            self.findings.differ(f"{heard.last.method} {name}: {heard.error}")
        else:
            self.findings.fits += heard.ok
        return heard

    def _until(self, is_so: Callable[[], bool], seconds: float, *, patient: bool = False) -> float | None:
        """
        Poll until a condition is true; return the seconds until then, or `None` after the timeout.

        An unreadable answer ends the wait: the condition is then treated as true.
        """
        began, unread = self._wire.now(), self._unread
        while True:
            if is_so():
                return self._wire.now() - began
            if self._unread > unread and not patient:
                return 0.0
            if self._wire.now() - began >= seconds:
                return None
            self._wire.pause(self._interval)


def _numbers(value: Any, path: str = "", depth: int = 4) -> list[tuple[str, float]]:
    """Return every number in an object by its path, including numbers in texts."""
    found: list[tuple[str, float]] = []
    for name, inner in value.items() if isinstance(value, dict) and depth else ():
        where = f"{path}.{name}".lstrip(".")
        found += _numbers(inner, where, depth - 1)
        if isinstance(inner, (int, float, str)) and not isinstance(inner, bool):
            try:
                found.append((where, float(str(inner).removeprefix("$"))))
            except ValueError:
                continue
    return found
