"""VpnClient: a device that may enter the account's network through a `stacks-vpn` container."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi

from stacks_pulumi.config import ADOPT_MODES
from stacks_pulumi.errors import ExistsError, NotFoundError, StacksError, WaitCancelledError
from stacks_pulumi.resources import _checks, _host
from stacks_pulumi.resources._adoption import adopts, how_to_adopt, refuse_if_owned
from stacks_pulumi.resources._base import HalfDone, Provider
from stacks_pulumi.resources._fields import Change, Field
from stacks_pulumi.resources._literals import AdoptMode
from stacks_pulumi.resources._lookup import LOOKED_UP, lookup_options
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._references import (
    child_id,
    child_options,
    container_id,
    input_id,
    own_name,
    parent_id,
)
from stacks_pulumi.resources._resource import Resource
from stacks_pulumi.resources._running import wait_until_running
from stacks_pulumi.resources._session import Session

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container

__all__ = ["VpnClient", "VpnClientProvider"]


class VpnClient(Resource, module="stacks", name="VpnClient"):
    """
    A WireGuard client of a `stacks-vpn` container (guide, "VPN Management").

    Its id is `<container id>/<client name>`.
    """

    container: pulumi.Output[str]
    """The VPN container's id."""
    name: pulumi.Output[str]
    """The client's name."""
    store_config: pulumi.Output[bool]
    """Whether the configuration is kept in the state."""
    config: pulumi.Output[str | None]
    """The WireGuard configuration with its private key, a secret; none if `store_config` is false."""

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
            opts: Pulumi's options. Given a Container, `deleted_with` is set to it.
            container: A container made from the template `stacks-vpn`.
            name: The client's name.
            rotate_triggers: When any value in this list changes, the client is removed and made anew, with a new key.
            store_config: Keep the configuration, encrypted, in the state (default true). With false the private key
                is never in the state; `get_vpn_config` downloads it.
            adopt: `never` (default) or `if_matching`: take over a client of that name that exists already.
        """
        super().__init__(
            VpnClientProvider(),
            resource_name,
            {
                "container": input_id(container),
                "name": resource_name if name is None and not (opts and opts.id) else name,
                "rotate_triggers": rotate_triggers,
                "store_config": store_config,
                "adopt": adopt,
                "config": None,
            },
            child_options(opts, container, secrets=["config"]),
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


class VpnClientProvider(Provider):
    """Check, create, read, diff, update and delete a VPN client."""

    kind: ClassVar = "VpnClient"
    fields: ClassVar = (
        Field("container", container_id, Change.REPLACE, required=True),
        Field("name", _checks.segment, Change.REPLACE, required=True),
        Field("rotate_triggers", _checks.strings, Change.REPLACE),
        Field("store_config", _checks.boolean, Change.UPDATE, default=True),
        Field("adopt", _checks.one_of(ADOPT_MODES), Change.NONE),
    )

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """The old client has to go first where the new one bears its name."""
        return (olds.get("container"), olds.get("name")) == (news.get("container"), news.get("name"))

    def names(self, inputs: Mapping[str, Any]) -> Iterable[str]:
        """A name is unique in a VPN container."""
        return (child_id(inputs["container"], inputs["name"]),)

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Its configuration did not come when it was added."""
        return news.get("store_config") is True and olds.get("config") is None

    def on_create(
        self, session: Session, op: Operation, inputs: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Add the client once the VPN container runs, and download its configuration."""
        container, name = inputs["container"], inputs["name"]
        wait_until_running(session, op, "a VPN client", container)
        op.progress("adding the client")
        added = True
        try:
            session.client.vpn_clients.add(container, name)
        except ExistsError as error:
            added = False
            refuse_if_owned(op, "VpnClient", child_id(container, name))
            if not adopts(session, inputs):
                msg = (
                    f'{container} has a VPN client "{name}" already. {how_to_adopt("VpnClient", op, inputs)}; else '
                    "give this client another name"
                )
                raise ExistsError(msg, existing=error.existing) from None
            op.inform(f"took over the existing VPN client {name}; from now on this program deletes it")
        id_ = child_id(container, name)
        try:
            outs = self._outputs(session, inputs)
            op.check_active()
        except WaitCancelledError:
            if added:
                with op.undoing():
                    session.client.vpn_clients.remove(container, name)
            raise
        except StacksError as error:
            msg = f'VPN client "{name}" was added, but its configuration did not come: {error}. `pulumi up` tries again'
            raise HalfDone(msg, id=id_, outs=inputs) from None
        return id_, outs

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Look it up in the list of the container's clients; the configuration stays the one that was downloaded."""
        container, name = parent_id(id_), own_name(id_)
        try:
            clients = session.reads.get(
                "vpn_clients", container, ask=lambda: session.client.vpn_clients.list(container)
            )
        except NotFoundError:
            return None
        if not any(client.name == name for client in clients):
            return None
        config = olds.get("config")
        outs = {**olds, "container": container, "name": name}
        return {**outs, "config": _host.secret(config)} if config is not None else outs

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Put the configuration into the state, or take it out; also for a client that was added half way."""
        return self._outputs(session, inputs)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Remove the client; its key opens nothing any more."""
        op.progress("removing the client")
        with contextlib.suppress(NotFoundError):
            session.client.vpn_clients.remove(parent_id(id_), own_name(id_))

    def _outputs(self, session: Session, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if not inputs["store_config"]:
            return dict(inputs)
        config = session.client.vpn_clients.config(inputs["container"], inputs["name"])
        return {**inputs, "config": _host.secret(config)}
