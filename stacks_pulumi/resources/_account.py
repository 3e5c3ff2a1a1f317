"""Whether the key is still one of the account that a resource is in."""

from __future__ import annotations

import secrets
from typing import Final

from stacks_pulumi.errors import StacksError
from stacks_pulumi.resources._session import Session

__all__ = ["ORIGIN", "birth_of", "new_origin", "refuse_other_account", "renewed_origin"]

ORIGIN: Final = "origin"
"""
The output that says with which key a resource was made or changed last, and in which creation it was made: a part of
the key's digest, which tells nothing of the key itself, and a number drawn by lot.
"""


def new_origin(session: Session) -> str:
    """The origin of something that is made now."""
    return f"{session.fingerprint}-{secrets.token_hex(4)}"


def renewed_origin(session: Session, origin: str | None) -> str:
    """The origin of something that is changed now."""
    return new_origin(session) if origin is None else f"{session.fingerprint}-{birth_of(origin)}"


def birth_of(origin: str | None) -> str | None:
    """What is of one creation alone."""
    return None if origin is None else origin.rpartition("-")[2]


def refuse_other_account(session: Session, id_: str, origin: str | None) -> None:
    """
    Take nothing for gone that is in another account.

    With the key of another account, or at another address, everything seems to be gone: the state would forget it, and
    it would go on being billed, and open. An id begins with its account (`usr-abc12345-web`), and any container of the
    account shows that. Where the key is the same as ever, nothing is asked.

    Args:
        session: The account of the key.
        id_: The resource's id, which begins with that of its container.
        origin: The resource's, if it has one.

    Raises:
        StacksError: It is in another account, or that cannot be told.
    """
    if origin is not None and origin.partition("-")[0] == session.fingerprint:
        return
    listed = session.reads.get("containers", ask=session.client.feed.snapshot)
    accounts = {_account(container.id) for container in listed}
    if _account(id_) in accounts:
        return
    if accounts:
        msg = (
            f"{id_} is not in the account of this API key, whose containers are {min(accounts)}-...: configure the key "
            "of the account that it was made with"
        )
        raise StacksError(msg)
    if origin is not None:
        msg = (
            f"{id_} was made with another API key, and the account of this one holds no container at all: configure "
            "the key of the account that it was made with. If this is that account and everything in it was deleted, "
            "take it out of the state with `pulumi state delete`"
        )
        raise StacksError(msg)


def _account(id_: str) -> str:
    return "-".join(id_.split("/", maxsplit=1)[0].split("-")[:2])
