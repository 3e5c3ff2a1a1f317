"""How is a permit, or the permission to read a secret, described in one line?"""

from __future__ import annotations

import json
from urllib.parse import quote

from stacks_pulumi._identifiers import canonical_network
from stacks_pulumi.broker.change import CONFIG, Constraint, Permit, Secret
from stacks_pulumi.endpoints import ENDPOINTS


def in_words(one: Permit | Secret) -> str:
    """
    Describe a permit, or the permission to read a secret, in one line. Symbols and texts are written as ASCII JSON, so
    no two look alike.
    """
    endpoint = ENDPOINTS[one.endpoint]
    ids = {name: _id_in_words(id_) for name, id_ in one.ids.items()}
    path = endpoint.path.format_map(ids)
    path += f"?client={ids['client_name']}" if one.endpoint == CONFIG else ""
    said, times = one.query if isinstance(one, Secret) else one.body, getattr(one, "times", 1)
    often = "" if times == 1 else f", {times or 'any number of'} times"
    return f"{endpoint.method} {path}{f' {json.dumps(said)}' if said else ''}{often}"


def _id_in_words(one: Constraint) -> str:
    if one.is_ is not None:
        return quote(one.is_, safe="")
    if one.address is not None:
        return f"[the entry of {canonical_network(one.address)}]"
    if one.caller:
        return "[an entry of the broker's address, or one that the platform added]"
    if one.new_backup_of is not None:
        return f"[the new backup of {json.dumps(one.new_backup_of)}]"
    return f"[{' or '.join(map(json.dumps, one.of))}]"
