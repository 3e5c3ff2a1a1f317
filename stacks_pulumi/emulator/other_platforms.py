"""
What does a request see and change on a platform that a file describes, and when?

The rules of the nouns stay as they are. A GET request is answered by its rule from a copy of the state, in which late
objects are as they were and hidden objects are missing. Every other request is carried out on the state itself, with
what follows from it on that platform. `Words` translates both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from stacks_pulumi.emulator import access, answers, containers, vpn
from stacks_pulumi.emulator.answers import Open, Refusal, Reply, Request, Response, Route, encode, not_found
from stacks_pulumi.emulator.dialect import PAGED, Verbatim, Words
from stacks_pulumi.emulator.platform import Platform, iso
from stacks_pulumi.emulator.server import Incoming
from stacks_pulumi.emulator.state import Connection, Container, Memory, State, Waiting
from stacks_pulumi.platform_file import PlatformFacts

_CONTAINER_ARGS: Final = ("container_id", "source_id", "target_id", "vpn_container_id")
_ID_ARGS: Final = (*_CONTAINER_ARGS, "backup_id")
_OF_CONTAINERS: Final = frozenset({"containers.list", "containers.status"})
_OF_ONE: Final = frozenset(
    {"containers.status", "allowed_ips.list", "connections.list", "backups.list", "vpn_clients.list"}
)
_OUTAGE_SECONDS: Final = 5.0
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(State)


class OtherPlatform:
    """
    Plays the platform that facts describe. All objects that exist at its start count as visible for a long time.

    Args:
        platform: The data of the rules, with the facts.
    """

    def __init__(self, platform: Platform) -> None:
        self.facts: PlatformFacts = platform.facts
        self.words = Words(self.facts)
        self._platform = platform
        if platform.state.memory is None:
            platform.state.memory = Memory()
        late = (
            self.facts.lists.lag_seconds,
            self.facts.containers.status_lag_seconds,
            self.facts.access.settle_seconds,
            self.facts.connections.removal_seconds,
            self.facts.backups.pinned_seconds,
        )
        self._longest = max(seconds or 0.0 for seconds in late)
        self._past: list[tuple[float, bytes]] = [(float("-inf"), _ENCODER.encode(platform.state))]
        self._before = frozenset(
            [
                *(container.port for container in platform.state.containers.values()),
                *(ip.id for container in platform.state.containers.values() for ip in container.allowed_ips),
                *platform.state.connections,
                *(str(number) for number in platform.state.backups),
            ]
        )
        self._turn = 0
        self._cache_seconds = self.facts.lists.cache_seconds or 0.0
        self._cached: dict[tuple[str, ...], tuple[float, Response]] = {}

    def remember(self) -> None:
        """Store the state after a change, if a later request may see it."""
        if not self._longest:
            return
        now = self._platform.clock.now()
        content = _ENCODER.encode(self._platform.state)
        if content != self._past[-1][1]:
            self._past.append((now, content))
        while len(self._past) > 1 and self._past[1][0] <= now - self._longest:
            del self._past[0]

    def respond(self, route: Route, request: Request, shape: str, incoming: Incoming) -> Response:
        """
        Answer a request.

        Raises:
            Refusal: The request is refused.
        """
        now = self._platform.clock.now()
        self._carry_on(now)
        request = replace(request, args=self._own(request.args))
        if route.method != "GET":
            return self._written(route, request, shape, self._done(route, request), incoming)
        where = (request.key.label, incoming.path, str(sorted(request.query.items())))
        at, kept = self._cached.get(where, (now, None))
        if kept is not None and now < at + self._cache_seconds and "no-cache" not in incoming.cache_control:
            return kept
        response = self._written(route, request, shape, self._seen(route, request), incoming)
        if self._cache_seconds:
            self._cached[where] = (now, response)
        return response

    def ids(self, state: State) -> dict[str, Any]:
        """Return the platform's ids of a state, by those of the rules, where they differ."""
        shown: dict[str, Any] = {}
        form = self.facts.containers.id_form
        if form in {"number", "uuid"}:
            deleted = {_grave(it.container): it.container for it in (state.memory or Memory()).deleted}
            for own, container in {**deleted, **state.containers}.items():
                uuid = state.derive_uuid("container", container.account, container.port)
                shown[own] = 40_000 + container.port if form == "number" else uuid
        if self.facts.backups.id_form == "uuid":
            shown.update({str(number): state.derive_uuid("backup", number) for number in state.backups})
        return shown

    def _own(self, args: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a path with the rules' ids. An id that the platform does not show leads nowhere."""
        shown = self.ids(self._platform.state)
        known = {str(it): own for own, it in shown.items()}
        return {
            name: known.get(it, "" if it in shown and name in _ID_ARGS else it) for name, it in args.items()
        }

    def _written(
        self,
        route: Route,
        request: Request,
        shape: str,
        seen: tuple[Reply | Open, State],
        incoming: Incoming,
    ) -> Response:
        """Return the response with an answer of the rules, which is about a state, as the platform writes it."""
        answer, state = seen
        status, body = answers.finished(answer, shape)
        headers: dict[str, str] = {}
        body = self.words.of_answer(route.name, body, self.ids(state))
        if route.name == "containers.create":
            status = self.facts.containers.create_code or status
            body = self._with_other_id(body)
        elif route.name == "containers.external_access" and self.facts.access.url_in_answer is False:
            body = _without_url(body)
        if route.name in PAGED:
            status, body, headers = self.words.paged(
                body, request.query, f"http://{incoming.host}{incoming.path}"
            )
        return encode(status, self.words.shaped(route.name, body), headers)

    def _with_other_id(self, body: Any) -> Any:
        """Return the answer to a create request with the id that the platform gives there."""
        whose = self.facts.containers.create_id
        if whose in {None, "container"}:
            return body
        data = {name: it for name, it in body["data"].items() if name != "id"}
        if whose == "request":
            data = {"id": f"req-{self._platform.state.derive('request', body['data']['id'])[:12]}", **data}
        return {**body, "data": data}

    # What goes on without a request.

    def _carry_on(self, now: float) -> None:
        """Create the containers whose time on the waitlist has passed, and end every request during an outage."""
        memory = self._memory
        for entry in [entry for entry in memory.waiting if entry.at <= now]:
            memory.waiting.remove(entry)
            wanted = answers.valid_create(entry.body, strict=False)
            name = containers.stored(self._platform, wanted.name)
            if f"{entry.account}-{name}" not in self._platform.state.containers:
                containers.add(self._platform, entry.account, wanted, created_by=entry.created_by)
                self.remember()
        if now < memory.outage_until:
            raise _outage()

    @property
    def _memory(self) -> Memory:
        memory = self._platform.state.memory
        if memory is None:
            memory = self._platform.state.memory = Memory()
        return memory

    # What a GET request sees.

    def _seen(self, route: Route, request: Request) -> tuple[Reply | Open, State]:
        """Return the answer to a GET request, and the state that it shows."""
        now = self._platform.clock.now()
        if route.name == "vpn_clients.config":
            self._give(request)
        behind = self._behind(route.name) if route.name in _OF_CONTAINERS else 0.0
        at, state = now - behind, self._as_of(behind)
        self._hide(route.name, state, request, at)
        for name in _CONTAINER_ARGS:
            container = state.containers.get(request.args.get(name, ""))
            if container is not None:
                self._delay(route.name, state, container, now)
        if route.name in _OF_CONTAINERS:
            self._dress(state, at)
        answer = route.handler(replace(request, platform=self._platform.view(state, at)))
        self._count_reads(route.name, request)
        if route.name == "backups.list" and self.facts.backups.pinned_form == "time":
            for row in answer.body["data"] if isinstance(answer, Reply) else ():
                row["pinned"] = iso(self._memory.pinned_at.get(row["id"], now)) if row["pinned"] else None
        return answer, state

    def _behind(self, operation: str) -> float:
        """Return how many seconds the answer of this operation is behind."""
        if operation == "containers.status":
            return self.facts.containers.status_lag_seconds or 0.0
        self._turn += 1
        fresh = self.facts.lists.lag_in == "every_second" and self._turn % 2
        return 0.0 if fresh else self.facts.lists.lag_seconds or 0.0

    def _as_of(self, seconds: float) -> State:
        """Return the state as it was some seconds ago."""
        if not seconds:
            return _DECODER.decode(_ENCODER.encode(self._platform.state))
        at = self._platform.clock.now() - seconds
        content = next(content for moment, content in reversed(self._past) if moment <= at)
        return self._platform.view(_DECODER.decode(content), at).state

    def _hide(self, operation: str, state: State, request: Request, at: float) -> None:
        """Remove the containers that are not visible there at that moment."""
        facts = self.facts.containers
        own = {request.args.get(name) for name in _CONTAINER_ARGS}
        in_list = operation in {"containers.list", "connections.targets"}
        hidden = []
        for container in state.containers.values():
            if container.id in own:
                stopped = operation == "containers.status" and container.status == "stopped"
                invisible = not self._is_found(container, at) or (
                    stopped and facts.listed_while_stopped is False
                )
            else:
                invisible = in_list and not self._is_listed(container, at)
            if invisible:
                hidden.append(container.id)
        for container_id in hidden:
            _forget(state, container_id)

    def _is_found(self, container: Container, at: float) -> bool:
        facts = self.facts.containers
        seconds = _seconds(facts.found_seconds, facts.visible_seconds)
        return self._is_there(container.port, container.created_at, seconds, at)

    def _is_listed(self, container: Container, at: float) -> bool:
        facts = self.facts.containers
        if container.status == "pending" and facts.listed_while_pending is False:
            return False
        if container.status == "stopped" and facts.listed_while_stopped is False:
            return False
        seconds = _seconds(facts.listed_seconds, facts.visible_seconds)
        return self._is_there(container.port, container.created_at, seconds, at)

    def _is_there(self, key: str | int, created_at: float, seconds: float | None, at: float) -> bool:
        """Return whether a new object is shown at a moment, if the platform shows it after some seconds."""
        return key in self._before or at >= created_at + (seconds or 0.0)

    def _dress(self, state: State, at: float) -> None:
        """Give containers the statuses of a boot and the creation times of the platform, and add the deleted ones."""
        facts, memory = self.facts.containers, state.memory or Memory()
        for container in state.containers.values():
            container.created_at = memory.created_at.get(container.id, container.created_at)
            if container.status == "pending" and facts.boot_statuses:
                step = self._step(container, at, len(facts.boot_statuses))
                container.status = Verbatim(facts.boot_statuses[step])
        if facts.tombstone is None:
            return
        by_name = facts.id_form in {None, "name"}
        for entry in memory.deleted:
            container, key = entry.container, entry.container.id if by_name else _grave(entry.container)
            shown = facts.tombstone_seconds is None or at < entry.at + facts.tombstone_seconds
            if shown and (not by_name or key not in state.containers):
                state.containers[key] = replace(container, id=key, status=Verbatim(facts.tombstone))

    def _step(self, container: Container, at: float, steps: int) -> int:
        """Return in which of the equal steps of its boot a container is."""
        following = container.next
        if following is None or following.due is None:
            left, whole = (
                0 if following is None else following.reads or 0,
                self._platform.pace.boot_reads or 1,
            )
            return max(0, min(steps - 1, (whole - left) * steps // whole))
        whole_seconds = max(following.due - container.updated_at, 0.001)
        return max(0, min(steps - 1, int((at - container.updated_at) / whole_seconds * steps)))

    def _delay(self, operation: str, state: State, container: Container, now: float) -> None:
        """Let what belongs to a container be as its list shows it now."""
        if operation not in _OF_ONE:
            return
        lag = self._behind(operation)
        if operation in {"containers.status", "allowed_ips.list"}:
            self._delay_access(container, max(lag, self.facts.access.settle_seconds or 0.0), now)
        elif operation == "connections.list":
            state.connections = self._listed_connections(state, container, lag, now)
        elif operation == "backups.list":
            self._delay_backups(state, lag, now)
        elif operation == "vpn_clients.list" and lag:
            former = self._as_of(lag).containers.get(container.id)
            container.vpn_clients = [] if former is None else former.vpn_clients

    def _delay_access(self, container: Container, seconds: float, now: float) -> None:
        if seconds:
            former = self._as_of(seconds).containers.get(container.id)
            if former is None:
                container.external_access, container.subdomain, container.allowed_ips = False, None, []
            else:
                container.external_access, container.subdomain = former.external_access, former.subdomain
                container.allowed_ips = former.allowed_ips
        own = self.facts.access.own_address_seconds
        container.allowed_ips = [
            ip
            for ip in container.allowed_ips
            if ip.description != self._own_description or self._is_there(ip.id, ip.added_at, own, now)
        ]

    @property
    def _own_description(self) -> str:
        return self.facts.access.own_address_description or access.AUTO_ADDED

    def _listed_connections(
        self, state: State, container: Container, lag: float, now: float
    ) -> dict[str, Connection]:
        facts = self.facts.connections
        listed = self._as_of(lag).connections
        if facts.removal_seconds:
            listed = {**self._as_of(facts.removal_seconds).connections, **listed}
        sides = {"source": ("source",), "target": ("target",)}.get(
            facts.listed_at or "", ("source", "target")
        )
        return {
            key: it
            for key, it in listed.items()
            if self._is_there(key, it.created_at, facts.listed_seconds, now)
            and {it.source, it.target} <= state.containers.keys()
            and any(getattr(it, side) == container.id for side in sides)
        }

    def _delay_backups(self, state: State, lag: float, now: float) -> None:
        facts = self.facts.backups
        pins = self._as_of(facts.pinned_seconds).backups if facts.pinned_seconds else None
        state.backups = {
            key: it
            for key, it in self._as_of(lag).backups.items()
            if self._is_there(str(key), it.created_at, facts.listed_seconds, now)
        }
        for key, backup in state.backups.items() if pins is not None else ():
            former = (pins or {}).get(key)
            backup.pinned = former is not None and former.pinned

    def _count_reads(self, operation: str, request: Request) -> None:
        """Count a read of the real containers too, for transitions that depend on reads."""
        own = request.args.get("container_id")
        for container in containers.of_account(self._platform, request.key.account):
            if operation == "containers.list" or (operation == "containers.status" and container.id == own):
                containers.count_read(self._platform, container)

    def _give(self, request: Request) -> None:
        """Count the download of a VPN configuration; refuse one that the platform does not give."""
        config_in = self.facts.vpn_clients.config_in
        if config_in in {None, "download"}:
            return
        container = containers.in_path(request, "vpn_container_id")
        client = vpn.find(container, request.query.get("client", "default"))
        if config_in == "create" or client.serial in self._memory.given:
            raise not_found("VPN configuration")
        self._memory.given.append(client.serial)

    # What every other request does.

    def _done(self, route: Route, request: Request) -> tuple[Reply | Open, State]:
        """Carry out a request; return the answer and the state."""
        now = self._platform.clock.now()
        for name in _CONTAINER_ARGS:
            container = self._platform.state.containers.get(request.args.get(name, ""))
            if container is not None and not self._is_found(container, now):
                raise not_found("Container")
        if route.name == "containers.create":
            return self._create(route, request, now), self._platform.state
        if route.name == "connections.create":
            request = replace(request, body=self._named(request))
        settle = self.facts.access.settle_seconds
        if route.name == "allowed_ips.add" and settle:
            former = self._as_of(settle).containers.get(request.args["container_id"])
            if former is None or not former.external_access:
                raise access.access_is_off()
        answer = route.handler(request)
        self._follow_up(route.name, request, now)
        if route.name == "vpn_clients.add" and self.facts.vpn_clients.config_in == "create":
            container = containers.in_path(request, "vpn_container_id")
            client = vpn.find(container, str(request.body["name"]))
            config = vpn.wireguard(self._platform.state, container, client)
            if isinstance(answer, Open):
                answer = replace(answer, value={**answer.value, "config": config})
        return answer, self._platform.state

    def _create(self, route: Route, request: Request, now: float) -> Reply | Open:
        facts, errors, memory = self.facts.containers, self.facts.errors, self._memory
        state = self._platform.state
        request = replace(request, body=self.words.of_request(request.body))
        name = containers.stored(self._platform, str(request.body.get("name")))
        for entry in memory.deleted:
            held = now < entry.at + (facts.name_held_seconds or 0.0)
            if held and entry.container.account == request.key.account and entry.container.name == name:
                raise containers.name_taken(name)
        existing = state.containers.get(f"{request.key.account}-{name}")
        if existing is not None and facts.name_taken == "answered":
            return Reply({"success": True, "data": containers.created(existing)}, 202)
        if errors.unavailable == "outage" and state.capacity == 0:
            # There is capacity again afterwards.
            state.capacity = None
            memory.outage_until = now + _seconds(errors.outage_seconds, _OUTAGE_SECONDS)
            raise _outage()
        try:
            return route.handler(request)
        except Refusal as refusal:
            if refusal.status == 503 and errors.waitlist_seconds is not None:
                at, key = now + errors.waitlist_seconds, request.key
                memory.waiting.append(Waiting(at, key.account, dict(request.body), key.label))
            raise

    def _named(self, request: Request) -> dict[str, Any]:
        """Return the body of a connect request with the name as the platform spells it."""
        form, name = self.facts.connections.name_form, request.body.get("connectionName")
        if name is None and form in {"lower", "unique"}:
            name = containers.in_path(request, "target_id").name
        if form == "lower" and isinstance(name, str):
            name = name.lower()
        elif form == "unique" and isinstance(name, str):
            number = self._platform.state.counters.get("connection", 0)
            name = f"{name}-{self._platform.state.derive('name', name, number)[:4]}"
        return request.body if name is None else {**request.body, "connectionName": name}

    def _follow_up(self, operation: str, request: Request, now: float) -> None:
        """Do what follows from a request that was carried out."""
        state, memory = self._platform.state, self._memory
        changed: str | None = None
        subjects = [request.args.get("container_id") or request.args.get("source_id")]
        if operation == "containers.set_status":
            subject = state.containers[request.args["container_id"]]
            changed = {"starting": "start", "restarting": "restart"}.get(subject.status)
        elif operation == "connections.create":
            changed = "connect"
            if self.facts.connections.restarts_both:
                subjects.append(request.args["target_id"])
                for container_id in subjects:
                    containers.set_status(self._platform, state.containers[str(container_id)], "restart")
        elif operation == "containers.external_access":
            changed = "external_access"
            for ip in state.containers[request.args["container_id"]].allowed_ips:
                if ip.description == access.AUTO_ADDED:
                    ip.description = self._own_description
        elif operation == "backups.restore":
            changed = "restore"
            subjects = [state.backups[int(request.args["backup_id"])].container_id]
        elif operation == "backups.pin":
            memory.pinned_at[int(request.args["backup_id"])] = now
        if changed in (self.facts.containers.created_at_changes or ()):
            memory.created_at.update({str(container_id): now for container_id in subjects})


def _outage() -> Refusal:
    return Refusal(
        503,
        {"success": False, "error": "Service unavailable", "message": "Maintenance until further notice."},
    )


def _seconds(*known: float | None) -> float:
    return next((seconds for seconds in known if seconds is not None), 0.0)


def _grave(container: Container) -> str:
    """Return the key of a deleted container; another one may have its name, and so its id."""
    return f"{container.id}#{container.port}"


def _forget(state: State, container_id: str) -> None:
    """Remove a container and its connections, as if it was not there."""
    del state.containers[container_id]
    state.connections = {
        key: it for key, it in state.connections.items() if container_id not in {it.source, it.target}
    }


def _without_url(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    rest = {name: it for name, it in body.items() if name not in {"url", "subdomain"}}
    return {**rest, "message": "External access is being changed"}
