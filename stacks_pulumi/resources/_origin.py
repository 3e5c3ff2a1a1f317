"""The check that the API key belongs to the account of a resource."""

from __future__ import annotations

import secrets
from typing import Final

from stacks_pulumi._identifiers import account_of
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.resources._session import Session

__all__ = ["ORIGIN", "new_origin", "refuse_other_account", "renewed_origin", "token_of"]

ORIGIN: Final = "origin"
"""
The output that identifies the key of the last change, and the creation. It has two parts: a part of a digest of key and
base URL, from which the key cannot be recovered, and a random number for each creation.
"""


def new_origin(session: Session) -> str:
    """Return the origin for an object that is being created or adopted."""
    return f"{session.fingerprint}-{secrets.token_hex(4)}"


def renewed_origin(session: Session, origin: str | None) -> str:
    """Return the origin for an object that is being changed: the token stays, the key may be another one."""
    return new_origin(session) if origin is None else f"{session.fingerprint}-{token_of(origin)}"


def token_of(origin: str | None) -> str | None:
    """Return the part of an origin that is unique to one creation or adoption."""
    return None if origin is None else origin.rpartition("-")[2]


def refuse_other_account(session: Session, id_: str, origin: str | None) -> None:
    """
    Check that a resource is in the account of the API key.

    With the key of another account, or another base URL, every resource seems to be deleted. A refresh would then
    remove it from the state, while it is still billed and reachable. An id begins with the account's part
    (`usr-abc12345-web`), which is the same for all containers of an account. If the key is the one of the last change,
    no request is sent.

    Args:
        session: The account of the key.
        id_: The resource's id, which begins with that of its container.
        origin: The resource's origin; `None` in states of version 0.1.

    Raises:
        ConfigError: The resource is in another account, or that cannot be ruled out.
        StacksError: The request to the API failed.
    """
    if origin is not None and origin.partition("-")[0] == session.fingerprint:
        return
    listed = session.reads.get("containers", ask=session.client.feed.snapshot)
    accounts = {account_of(container.id) for container in listed}
    if account_of(id_) in accounts:
        return
    if accounts:
        msg = (
            f"{id_} is not in the account of this API key, whose containers are {min(accounts)}-...: configure the key "
            "of the account that has it. (To create a new one in this account, give the resource another "
            "name in the program)"
        )
        raise ConfigError(msg, code="other-account")
    if origin is not None:
        msg = (
            f"{id_} was created with another API key, and the account of this key has no containers, so it is probably "
            "another account: configure the key of the account that has it. If this is that account and everything in "
            "it was deleted, remove the resource from the state with `pulumi state delete`"
        )
        raise ConfigError(msg, code="other-account")
