"""The examples with Kubernetes, run as in their READMEs: rendered to files, and applied to a cluster."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.engine.test_readmes import Newcomer, blocks
from tests.multi_cloud.clusters import Applied, Cluster, Rendered
from tests.multi_cloud.conftest import install
from tests.support.examples import EXAMPLES
from tools.engine.ensure import ensure
from tools.engine.kubernetes import Kubernetes

NAMES: Final = ["kubernetes", "kubernetes_yaml"]
CLUSTER: Final = "198.51.100.7"


def stored(secret: dict[str, Any]) -> dict[str, str]:
    """Return the content of a Secret."""
    return {name: base64.b64decode(text).decode() for name, text in secret["data"].items()}


def check(emulator: Emulator, objects: list[dict[str, Any]]) -> None:
    """Check that the job gets the address, the login and the URL, and that only the cluster may connect."""
    (settings,), (access,), (job,) = (
        [it for it in objects if it["kind"] == kind] for kind in ("ConfigMap", "Secret", "CronJob")
    )
    held = {it.name: it for it in emulator.state.containers.values()}
    shop, database = held["shop"], held["shop-db"]
    assert settings["data"] == {"SHOP_URL": shop.url}
    given = stored(access)
    assert (given["PGHOST"], given["PGPORT"]) == (database.url, str(database.port))
    assert given["PGUSER"]
    assert len(given["PGPASSWORD"]) > 10
    (worker,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    used = [next(iter(it.values()))["name"] for it in worker["envFrom"]]
    assert used == [settings["metadata"]["name"], access["metadata"]["name"]]
    assert [it.ip_address for it in database.allowed_ips] == [CLUSTER]


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_the_readme_work(
    *, name: str, cluster: Cluster, tmp_path: Path, built: Kubernetes, emulator: Emulator
) -> None:
    newcomer = Newcomer(tmp_path, ensure().bin, forks=True)
    newcomer.env["PYTHONPATH"] = os.pathsep.join([str(built.sdk), newcomer.env["PYTHONPATH"]])
    install(built, Path(newcomer.env["PULUMI_HOME"]))
    folder = newcomer.checkout / "examples" / name
    before, end = [text for mark, text in blocks(EXAMPLES / "README.md") if not mark or mark == "end"]
    newcomer.paste(before, folder)
    newcomer.paste(f"pulumi config set stacks:baseUrl {emulator.url}", folder)
    newcomer.paste("pulumi config set stacks:apiKey --secret", folder, given=emulator.key)
    (text,) = (text for _, text in blocks(EXAMPLES / name / "README.md"))
    left_out = ["pip "]
    if isinstance(cluster, Applied):
        newcomer.env["KUBECONFIG"] = str(cluster.kubeconfig)
        left_out.append("pulumi config set render ")
    else:
        cluster = Rendered(folder / "manifests")

    for line in text.splitlines():
        if line.startswith(tuple(left_out)):
            continue
        if line == "pulumi up":
            newcomer.paste("pulumi preview", folder)
            assert cluster.objects() == []
        newcomer.paste(line, folder)
        if line == "pulumi up":
            objects = cluster.objects()
            check(emulator, objects)
            newcomer.paste("pulumi up --expect-no-changes", folder)
            export = newcomer.paste("pulumi stack export", folder)
            (secret,) = (it for it in objects if it["kind"] == "Secret")
            assert stored(secret)["PGPASSWORD"] not in export
            assert secret["data"]["PGPASSWORD"] not in export

    assert cluster.objects() == []
    assert emulator.state.names() == []
    newcomer.paste(end, folder)
