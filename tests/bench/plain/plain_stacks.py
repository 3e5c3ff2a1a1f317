"""
A provider for STACKS in the style of Pulumi's documentation, for a comparison with ours.

It sends a POST, then polls the new container's status every two seconds. After a 429, it sleeps as long as the answer
states. Operations of one resource share nothing with other resources.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pulumi
import requests
from pulumi.dynamic import ConfigureRequest, CreateResult, ReadResult, Resource, ResourceProvider

# Its sleeps use the benchmark's clock, as ours do.
from stacks_pulumi._clock import SYSTEM_CLOCK

POLL_SECONDS = 2.0


class Api(ResourceProvider):
    """The shared parts of the three providers: the settings, and one request."""

    url: str
    key: str

    def configure(self, req: ConfigureRequest) -> None:
        self.url = req.config.require("stacks:baseUrl")
        self.key = req.config.require("stacks:apiKey")

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        while True:
            answer = requests.request(
                method,
                self.url + path,
                json=body,
                headers={"Authorization": f"Bearer {self.key}"},
                timeout=30,
            )
            if answer.status_code != 429:
                break
            SYSTEM_CLOCK.sleep(float(answer.headers.get("Retry-After", "1")))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found.get("data") or found

    def status(self, container: str) -> str:
        return str(self.ask("GET", f"/containers/status/{container}")["status"])

    def wait(self, container: str) -> None:
        while (status := self.status(container)) != "running":
            if status == "error":
                raise RuntimeError(f"{container} failed")
            SYSTEM_CLOCK.sleep(POLL_SECONDS)


class ContainerProvider(Api):
    """A container."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        body = {name: props[name] for name in ("name", "template", "plan")}
        made = self.ask("POST", "/containers", body)
        self.wait(made["id"])
        if props.get("external_access"):
            self.ask("PUT", f"/containers/{made['id']}/external-access", {"enabled": True})
        return CreateResult(made["id"], {**props, "status": "running"})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        found = self.ask("GET", f"/containers/status/{id_}")
        return ReadResult(id_, {**props, "status": found["status"]})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        self.ask("DELETE", f"/containers/{id_}")


class ConnectionProvider(Api):
    """A connection, with the necessary restart."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        path = f"/containers/{props['source']}/connect/{props['target']}"
        made = self.ask("POST", path, {"connectionName": props["name"]})
        self.ask("PUT", f"/containers/{props['source']}/status", {"status": "restart"})
        self.wait(props["source"])
        return CreateResult(made["id"], props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        self.ask("GET", f"/containers/{props['source']}/connections")
        return ReadResult(id_, props)

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        self.ask("DELETE", f"/containers/connections/{id_}")


class AllowedIpProvider(Api):
    """An allowed address."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        path = f"/containers/{props['container']}/allowed-ips"
        made = self.ask("POST", path, {"ip_address": props["ip_address"]})
        return CreateResult(str(made["id"]), props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        self.ask("GET", f"/containers/{props['container']}/allowed-ips")
        return ReadResult(id_, props)

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        self.ask("DELETE", f"/containers/{props['container']}/allowed-ips/{id_}")


class Container(Resource):
    provider: ClassVar[type[Api]] = ContainerProvider

    def __init__(self, name: str, *, template: str, external_access: bool = False) -> None:
        inputs = {"name": name, "template": template, "plan": "basic", "external_access": external_access}
        super().__init__(self.provider(), name, {**inputs, "status": None})


class Connection(Resource):
    provider: ClassVar[type[Api]] = ConnectionProvider

    def __init__(self, name: str, *, source: Container, target: Container) -> None:
        inputs = {"name": name, "source": source.id, "target": target.id}
        super().__init__(self.provider(), name, inputs, pulumi.ResourceOptions(deleted_with=source))


class AllowedIp(Resource):
    provider: ClassVar[type[Api]] = AllowedIpProvider

    def __init__(self, name: str, *, container: Container, ip_address: str) -> None:
        inputs = {"container": container.id, "ip_address": ip_address}
        super().__init__(self.provider(), name, inputs, pulumi.ResourceOptions(deleted_with=container))
