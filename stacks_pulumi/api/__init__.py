"""
A typed client of the STACKS API. It does not depend on Pulumi and can be used without it.

The endpoints themselves are in `stacks_pulumi.endpoints`. Each kind of resource has a module, whose methods create a
`Call`; the chain of handlers sends it.

- `client`: Which objects does a client contain, and in which order do the handlers run?
- `containers`: Which requests exist for containers, and what does each return?
- `allowed_ips`: Which requests exist for allowed addresses, and when are two addresses the same?
- `connections`: Which requests exist for connections, and when does a connection lead to a target?
- `backups`: Which requests exist for backups, and which backup is the new one?
- `vpn_clients`: Which requests exist for the clients of a VPN container?
- `models`: Which data does the API return, and how may each field be spelt?
- `feed`: Which thread sends the list request when many threads wait, and how does a wait end?
- `wait`: Which states can a caller wait for, and what does a list tell a waiting caller?
- `once`: Which steps make a request take effect exactly once?
- `probe`: What do single requests reveal about a key, its rate limit and the clock?
- `_call`: How is a request represented as data, and which path does it have?
- `_retry`: Which requests are sent again, when, and how often? (handler)
- `_decode`: Which value or error results from a response? (handler)
- `_limiter`: When may a request be sent? (handler)
- `_transport`: How is one request sent? (handler)
- `_bodies`: How is a body read, and how does a text become safe to show (`scrub`)?
- `_words`: Which words does the guide use for a status, a plan, a template, a type and a service?
- `_pages`: How are further pages of a list requested, and when is a list complete?
- `_unshaped`: How are logins, logs, keys, VPN clients, templates and metrics read if the guide does not describe their
  shape?
- `_error_mapping`: Which exception results from an error response, and which remedy does the exception suggest?

`(guide, "List Containers")` in a docstring names a section of the API guide, https://docs.stackshosting.cloud.
"""

from __future__ import annotations

from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api.client import StacksClient
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.wait import BACKED_UP, CREATED, GONE, STARTED, STOPPED, Wait

__all__ = ["BACKED_UP", "CREATED", "GONE", "STARTED", "STOPPED", "Feed", "StacksClient", "Wait", "in_doubt"]
