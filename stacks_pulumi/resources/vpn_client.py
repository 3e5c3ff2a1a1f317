"""VpnClient: a device that can connect to the account's network through a `stacks-vpn` container."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pulumi

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import same_name
from stacks_pulumi.api import models
from stacks_pulumi.api.vpn_clients import SLACK, risks_of
from stacks_pulumi.config import ADOPT_MODES
from stacks_pulumi.errors import NotFoundError, StacksError, UnreadableAnswerError, VanishedError
from stacks_pulumi.resources import _fields, _validators
from stacks_pulumi.resources._children import Ask, ChildHandler, fast_or_once_running, same_time
from stacks_pulumi.resources._creation import Creation
from stacks_pulumi.resources._fields import Field, OnChange
from stacks_pulumi.resources._handler import LOOKED_UP, lookup_options
from stacks_pulumi.resources._identity import (
    CONTAINER_CREATED_AT,
    IDENTITY_CONFLICT,
    RECENT,
    find_container,
    may_be_another,
    remedies,
    uncertain,
)
from stacks_pulumi.resources._literals import AdoptMode
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._resource import (
    Child,
    ParentInProgram,
    child_id,
    container_id,
    input_id,
    own_name,
    parent_id,
)
from stacks_pulumi.resources._running import (
    creation_time,
    is_own_container,
    once_running,
    patiently,
    runs,
)
from stacks_pulumi.resources._session import REFUSALS, Session
from stacks_pulumi.resources._stored import NO_TIME
from stacks_pulumi.resources._values import secret, without_none

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container


class VpnClient(Child, module="stacks", name="VpnClient"):
    """
    A WireGuard client of a `stacks-vpn` container (guide, "VPN Management").

    Its id is `<container id>/<client name>`.
    """

    _delete_first: ClassVar[bool] = True

    container: pulumi.Output[str]
    """The VPN container's id."""
    name: pulumi.Output[str]
    """The client's name."""
    store_config: pulumi.Output[bool]
    """Whether the configuration is stored in the state."""
    config: pulumi.Output[str | None]
    """The WireGuard configuration with its private key, a secret; unset if `store_config` is false."""

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        container: Container | pulumi.Input[str],
        name: pulumi.Input[str] | None = None,
        rotate_triggers: pulumi.Input[Sequence[pulumi.Input[Any]]] | None = None,
        store_config: pulumi.Input[bool] | None = None,
        adopt: AdoptMode | None = None,
    ) -> None:
        """
        Declare a VPN client.

        Args:
            resource_name: Name in the program; also the client's name unless `name` is given.
            opts: Pulumi's options.
            container: A container with the template `stacks-vpn`.
            name: The client's name.
            rotate_triggers: When any value in this list changes, the client is removed and added again, with a new key.
            store_config: Store the configuration with its private key in the state, encrypted (default true). If false,
                `get_vpn_config` downloads it.
            adopt: Whether to adopt an existing client of that name: `never` (default) or `if_matching`.
        """
        super().__init__(
            resource_name,
            {
                "container": input_id(container),
                "name": resource_name if name is None and not (opts and opts.id) else name,
                "rotate_triggers": rotate_triggers,
                "store_config": store_config,
                "adopt": adopt,
            },
            opts,
            container=container,
        )

    @staticmethod
    def get(
        resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> VpnClient:
        """
        Look up a client that this program does not manage; its configuration is not downloaded.

        Args:
            resource_name: Name in the program.
            id: `<container id>/<client name>`.
            opts: Pulumi's options.
        """
        return VpnClient(resource_name, lookup_options(id, opts), container=LOOKED_UP)


_CREATED_AT: Final = "client_created_at"
"""The output that contains the client's creation time, because a name can be used again."""

_DEFAULT: Final = "default"
"""The client that the platform creates with every VPN container."""

_ONLY_ONCE: Final = (
    "If the platform returns a configuration only once, change rotate_triggers, which adds the client again with a new "
    "key, or set store_config=False"
)


class _VpnClientCreation(Creation[models.VpnClient]):
    """The creation of a client: POST, then the download of its configuration."""

    kind: ClassVar = "VpnClient"

    def create(self) -> models.VpnClient:
        container, name = self.inputs["container"], self.inputs["name"]
        if same_name(name, _DEFAULT):
            return once_running(self.session, self.op, "a VPN client", (container,), self._add)
        return fast_or_once_running(self.session, self.op, "a VPN client", (container,), self._add)

    def existing(self) -> models.VpnClient | None:
        name: str = self.inputs["name"]
        listed = self.session.client.vpn_clients.list(self.inputs["container"])
        return next((one for one in listed if same_name(one.name, name)), None)

    def _add(self, before: tuple[models.VpnClient, ...] | None = None) -> models.VpnClient:
        self.op.progress("adding the client")
        container, name = self.inputs["container"], self.inputs["name"]
        pulse = functools.partial(self.op.check, "the client")
        return self.session.client.vpn_clients.add(container, name, before=before, pulse=pulse)

    def id_of(self, thing: models.VpnClient) -> str:
        return child_id(self.inputs["container"], self.inputs["name"])

    def finish(self, thing: models.VpnClient) -> dict[str, Any]:
        config = None
        if not self.adopted and self.inputs["store_config"]:
            config = patiently(
                self.session,
                self.op,
                "the configuration",
                lambda: self.session.client.vpn_clients.config(self.inputs["container"], self.inputs["name"]),
                (NotFoundError, *REFUSALS, UnreadableAnswerError),
            )
        return _outputs(self.session, self.op, self.inputs, config, thing.created_at)

    def known(self, thing: models.VpnClient, error: Exception | None) -> dict[str, Any]:
        # Without these times, a later operation would treat any client of that name as ours.
        return {**self.inputs, **_times(self.session, self.inputs["container"], thing.created_at)}

    def describe_failure(self, thing: models.VpnClient, error: StacksError) -> str:
        return (
            f'VPN client "{self.inputs["name"]}" was added, but its configuration could not be downloaded: '
            f"{error.message}. `pulumi up` tries again. {_ONLY_ONCE}"
        )

    def describe(self, thing: models.VpnClient) -> str:
        return f'the VPN client "{self.inputs["name"]}" of {self.inputs["container"]}'

    def is_leftover(self, thing: models.VpnClient) -> bool:
        is_default = self.inputs["name"] == _DEFAULT
        return not is_default and is_own_container(self.session, self.inputs["container"])

    def roll_back(self, thing: models.VpnClient) -> None:
        self.session.client.vpn_clients.remove(self.inputs["container"], self.inputs["name"])


class VpnClientHandler(ChildHandler[models.VpnClient]):
    """Check, create, read, diff, update and delete a VPN client."""

    kind: ClassVar = "VpnClient"
    creation: ClassVar = _VpnClientCreation
    id_form: ClassVar = "<container id>/<client name>"
    fields: ClassVar = (
        Field("container", container_id, OnChange.REPLACE, required=True),
        Field("name", _validators.segment, OnChange.REPLACE, required=True),
        Field("rotate_triggers", _validators.strings, OnChange.REPLACE),
        Field("store_config", _validators.boolean, OnChange.UPDATE, default=True),
        Field("adopt", _validators.one_of(ADOPT_MODES), OnChange.NONE),
    )
    outputs: ClassVar = (
        _fields.Output("config", ("store_config", _fields.REPAIR), secret=True),
        _fields.Output(CONTAINER_CREATED_AT, (_fields.ANY_UPDATE,)),
    )
    unique: ClassVar = ("container", "name")
    time: ClassVar = _CREATED_AT
    has_own_id: ClassVar = False

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Remove the old client first if the new one has the same name."""
        return (olds.get("container"), olds.get("name")) == (news.get("container"), news.get("name"))

    def rules(
        self, olds: Mapping[str, Any], inputs: Mapping[str, Any], parent: ParentInProgram
    ) -> Iterable[tuple[str, str]]:
        """Only a VPN container has clients, and it must be running when a client is added."""
        if parent.template in catalog.TEMPLATES and parent.template != catalog.VPN_TEMPLATE:
            yield (
                "container",
                f'VPN clients need the template "{catalog.VPN_TEMPLATE}", but the template is "{parent.template}"',
            )
        yield from runs(parent, olds, inputs, "container", "a VPN client")

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether the configuration still has to be downloaded."""
        return news.get("store_config") is True and olds.get("config") is None

    def at_create(self, props: Mapping[str, Any]) -> dict[str, Any]:
        """Omit the configuration if it is not stored."""
        outs = super().at_create(props)
        return {name: value for name, value in outs.items() if name != "config" or outs["store_config"]}

    def imported(self, session: Session, id_: str) -> dict[str, Any]:
        """Return the default inputs, and the configuration, which an import stores in the state."""
        inputs = super().imported(session, id_)
        with contextlib.suppress(NotFoundError):
            inputs["config"] = session.client.vpn_clients.config(parent_id(id_), own_name(id_))
        return inputs

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Find the client in the list of the container's clients. The stored configuration is kept."""
        client = self.find(session, op, id_, olds, reads=True)
        if client is None:
            return None
        config = olds.get("config")
        outs = {**olds, "container": parent_id(id_), "name": own_name(id_)}
        outs.pop(IDENTITY_CONFLICT, None)
        outs.update(self._identity(session, op, id_, olds, client))
        if client.created_at is not None:
            outs[_CREATED_AT] = client.created_at
        if config is not None:
            _warn_of_commands(op, id_, config)
            outs["config"] = secret(config)
        return outs

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """
        Add the configuration to the state or remove it from the state. This also completes an unfinished creation.
        """
        adopts = inputs.get("adopt") == "if_matching"
        # A platform may give a configuration only once, so a configuration in the state is kept.
        config = None if adopts and olds.get(IDENTITY_CONFLICT) is not None else olds.get("config")
        downloads = config is None and inputs["store_config"]
        if not adopts and not downloads:
            _check_not_recreated(session, op, id_, olds)
        elif not adopts and self.find(session, op, id_, olds, max_age=RECENT) is None:
            msg = f"the VPN client {id_} in the state no longer exists. Nothing was changed: run `pulumi refresh`"
            raise VanishedError(msg, subject=f"VPN client {id_}")
        try:
            return _outputs(session, op, inputs, config, olds.get(_CREATED_AT))
        except NotFoundError as error:
            raise error.but(message=f"{error.message}. {_ONLY_ONCE}") from None

    def look(self, session: Session, id_: str, olds: Mapping[str, Any], get: Ask) -> models.VpnClient | None:
        """Return the client from the container's list."""
        container, name = parent_id(id_), own_name(id_)
        clients = get("vpn_clients", container, ask=lambda: session.client.vpn_clients.list(container))
        return clients.find(lambda client: same_name(client.name, name))

    def is_ours(self, id_: str, olds: Mapping[str, Any], found: models.VpnClient) -> bool:
        """Compare the creation times."""
        return same_time(olds.get(_CREATED_AT), found.created_at, slack=SLACK) is not False

    def describe(self, id_: str, found: models.VpnClient) -> str:
        """Return the client's id."""
        return f"the VPN client {id_}"

    def check_container(
        self,
        session: Session,
        op: Operation,
        id_: str,
        olds: Mapping[str, Any],
        found: models.VpnClient | None,
    ) -> None:
        """If the client has no creation time, compare those of the container: a later client may have the same name."""
        if found is None or same_time(olds.get(_CREATED_AT), found.created_at, slack=SLACK) is None:
            _check_not_recreated(session, op, id_, olds)

    def remove(self, session: Session, id_: str, olds: Mapping[str, Any]) -> None:
        """Remove the client; its key then becomes invalid."""
        session.client.vpn_clients.remove(parent_id(id_), own_name(id_))

    def _identity(
        self, session: Session, op: Operation, id_: str, olds: Mapping[str, Any], client: models.VpnClient
    ) -> dict[str, str | None]:
        """
        Return the container's creation time. If it differs from the state, the owner is uncertain, because a client has
        no unique id.
        """
        container = find_container(session, parent_id(id_), shared=True)
        now, stored = None if container is None else container.created_at, olds.get(CONTAINER_CREATED_AT)
        if not may_be_another(session, stored, now):
            return {CONTAINER_CREATED_AT: now or stored}
        op.warn(f"{_recreated(id_, stored, now)}. It stays in the state. {remedies(op)}")
        return {CONTAINER_CREATED_AT: stored, IDENTITY_CONFLICT: now or NO_TIME}


def _outputs(
    session: Session, op: Operation, inputs: Mapping[str, Any], config: str | None, created_at: str | None
) -> dict[str, Any]:
    container = inputs["container"]
    outs = {**inputs, **_times(session, container, created_at)}
    if inputs["store_config"]:
        config = config or session.client.vpn_clients.config(container, inputs["name"])
        _warn_of_commands(op, child_id(container, inputs["name"]), config)
        outs["config"] = secret(config)
    return outs


def _times(session: Session, container: str, created_at: str | None) -> dict[str, Any]:
    """Return the outputs that contain the known creation times of the container and of the client."""
    return without_none({CONTAINER_CREATED_AT: creation_time(session, container), _CREATED_AT: created_at})


def _warn_of_commands(op: Operation, id_: str, config: str) -> None:
    risks = risks_of(config)
    if risks:
        op.warn(
            f"the VPN client {id_}: {risks}. Read its output `config` before you use it, and ask who changed it"
        )


def _check_not_recreated(session: Session, op: Operation, id_: str, olds: Mapping[str, Any]) -> None:
    container = find_container(session, parent_id(id_), max_age=RECENT)
    now, stored = None if container is None else container.created_at, olds.get(CONTAINER_CREATED_AT)
    if may_be_another(session, stored, now):
        msg = f"{_recreated(id_, stored, now)}. Nothing was changed. {remedies(op)}"
        raise StacksError(msg, code="identity-unclear")


def _recreated(id_: str, stored: str | None, now: str | None) -> str:
    return f"the VPN client {id_}: {uncertain(parent_id(id_), {'created_at': stored}, now)}"
