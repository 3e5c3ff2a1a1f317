"""Where Pulumi's Kubernetes provider puts its objects: manifests in a folder, or an API server with etcd."""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import requests
import yaml

from tests.support import servers

Manifest = dict[str, Any]

KINDS: Final = {
    "ConfigMap": "api/v1/{}/configmaps",
    "Secret": "api/v1/{}/secrets",
    "PodTemplate": "api/v1/{}/podtemplates",
    "Deployment": "apis/apps/v1/{}/deployments",
    "CronJob": "apis/batch/v1/{}/cronjobs",
}
"""The path of each kind that the tests make, in a namespace."""
_SECONDS: Final = 60


class Cluster(Protocol):
    """
    What a stack has for its cluster.

    Attributes:
        provider: The arguments of its provider in a program in Python.
        refusal: What the provider says while the cluster refuses.
    """

    provider: str
    refusal: str

    def objects(self) -> list[Manifest]:
        """Return what it holds."""

    def refuse(self) -> None:
        """Refuse new objects from now on. It must be empty."""

    def accept(self) -> None:
        """Take new objects again."""


class Rendered:
    """A folder for manifests."""

    refusal = "failed to write YAML file"

    def __init__(self, folder: Path) -> None:
        self.provider = f'render_yaml_to_directory="{folder}"'
        self._folder = folder

    def objects(self) -> list[Manifest]:
        return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in self._folder.rglob("*.yaml")]

    def refuse(self) -> None:
        # At the place of the provider's folder, there is a file.
        self._folder.touch()

    def accept(self) -> None:
        self._folder.unlink()


class ApiServer:
    """
    An API server with etcd. It has no controllers: no pod runs, and nothing else follows from an object.

    Args:
        url: Its address.
        folder: The folder of its certificate.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.certificate = folder / "apiserver.crt"
        self.token = secrets.token_urlsafe()
        self.namespaces = (f"test-{number}" for number in itertools.count())

    def is_ready(self) -> bool:
        if not self.certificate.exists():
            return False
        try:
            return self._send("GET", "readyz").ok
        except requests.ConnectionError:
            return False

    def ask(self, method: str, path: str, content: object = None) -> Manifest:
        """Send a request; return the answer."""
        answer = self._send(method, path, content)
        assert answer.ok, answer.text
        found: Manifest = answer.json()
        return found

    def _send(self, method: str, path: str, content: object = None) -> requests.Response:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return requests.request(
            method,
            f"{self.url}/{path}",
            data=None if content is None else json.dumps(content),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind},
            verify=str(self.certificate),
            timeout=_SECONDS,
        )


class Applied:
    """
    A new namespace of an API server.

    Args:
        server: The API server.
        kubeconfig: The file that gets its address, its login and the namespace.
    """

    refusal = "because it is being terminated"

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.provider = f'kubeconfig="{kubeconfig}"'
        self.kubeconfig = kubeconfig
        self._server = server
        self._name = next(server.namespaces)
        self.accept()
        one = {"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": self._name}}
        address = {"server": server.url, "certificate-authority": str(server.certificate)}
        settings = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": address}],
            "users": [{"name": "tests", "user": {"token": server.token}}],
            "contexts": [one],
            "current-context": "tests",
        }
        kubeconfig.write_text(json.dumps(settings), encoding="utf-8")

    def objects(self) -> list[Manifest]:
        # An object in a list does not say its kind.
        return [
            {**it, "kind": kind}
            for kind in KINDS
            for it in self._server.ask("GET", self._path(kind))["items"]
        ]

    def refuse(self) -> None:
        # Without its controller, a namespace does not end.
        self._server.ask("DELETE", f"api/v1/namespaces/{self._name}")

    def accept(self) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._name}}
        known = self._server.ask("GET", "api/v1/namespaces")["items"]
        if any(it["metadata"]["name"] == self._name for it in known):
            self._server.ask("PUT", f"api/v1/namespaces/{self._name}/finalize", namespace)
        self._server.ask("POST", "api/v1/namespaces", namespace)

    def change(self, kind: str, name: str, content: Manifest) -> None:
        """Change an object by hand."""
        self._server.ask("PATCH", f"{self._path(kind)}/{name}", content)

    def _path(self, kind: str) -> str:
        return KINDS[kind].format(f"namespaces/{self._name}")


@contextlib.contextmanager
def serving(programs: Path) -> Iterator[ApiServer]:
    """Run an API server with etcd from a folder of programs."""
    with servers.folder() as folder, _kept_port() as port:
        store = f"unix://{folder}/etcd.sock"
        etcd: list[Path | str] = [
            programs / "etcd",
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            "--listen-peer-urls=http://127.0.0.1:0",
            "--unsafe-no-fsync",
        ]
        server = ApiServer(f"https://127.0.0.1:{port}", folder)
        key, users = folder / "accounts.key", folder / "users.csv"
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", key], check=True)
        users.write_text(f"{server.token},admin,1,system:masters\n", encoding="utf-8")
        api: list[Path | str] = [
            programs / "kube-apiserver",
            f"--etcd-servers={store}",
            f"--cert-dir={folder}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--permit-port-sharing",
            f"--token-auth-file={users}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            # These three need controllers.
            "--disable-admission-plugins=ServiceAccount",
            "--enable-garbage-collector=false",
            "--endpoint-reconciler-type=none",
        ]
        with (
            servers.running(etcd, lambda: servers.accepts(folder / "etcd.sock")),
            servers.running(api, server.is_ready),
        ):
            yield server


@contextlib.contextmanager
def _kept_port() -> Iterator[int]:
    """Yield a free port, which no process takes meanwhile unless it shares it."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]
