"""
A typed client of the STACKS API. It does not depend on Pulumi and can be used without it.

`(guide, "List Containers")` in a docstring names a section of the API guide, https://docs.stackshosting.cloud.
"""

from __future__ import annotations

from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api.client import StacksClient
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.wait import BACKED_UP, CREATED, GONE, STARTED, STOPPED, Wait

__all__ = ["BACKED_UP", "CREATED", "GONE", "STARTED", "STOPPED", "Feed", "StacksClient", "Wait", "in_doubt"]
