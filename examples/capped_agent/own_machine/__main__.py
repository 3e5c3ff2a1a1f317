"""Create a container within the budget, then try requests that the key allows and the grant does not."""

import os

import pulumi
import requests

import stacks_pulumi as stacks

BASE, TOKEN = os.environ["STACKS_BASE_URL"], os.environ["STACKS_API_KEY"]


def tried(method: str, path: str, body: dict[str, object] | None = None) -> None:
    """Send a request without Pulumi, as any code in a program can."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.request(method, f"{BASE}{path}", json=body, headers=headers, timeout=60)
    said = answer.json()
    pulumi.log.warn(f"{method} {path}: {answer.status_code} {said.get('error')}")


stacks.Container("cache", template="redis")

if not pulumi.runtime.is_dry_run():
    other = os.environ["OTHER"]  # the id of a container of a different stack
    tried("DELETE", f"/containers/{other}")
    tried("PUT", f"/containers/{other}/external-access", {"enabled": True})
    tried("GET", f"/containers/{other}/credentials")
    tried("POST", "/containers", {"name": "miner", "template": "nodejs", "plan": "premium"})
    stacks.Container("second", template="redis")
