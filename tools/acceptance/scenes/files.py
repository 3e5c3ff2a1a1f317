"""Reads of a running container: credentials, logs, metrics, the SSH key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from tools.acceptance import reading
from tools.acceptance.api import Answer
from tools.acceptance.contract import contract
from tools.acceptance.run import Run

__all__ = ["certificate", "credentials_logs_and_metrics", "digest_of"]

_METRICS: Final = ("cpu", "memory", "disk", "network_in", "network_out")


def credentials_logs_and_metrics(run: Run) -> None:
    """Credentials, logs and metrics of the compute container."""
    if run.main is None:
        return
    answer = run.api.call("containers.credentials", run.main)
    run.guide_form("containers.credentials", answer)
    run.form("containers.credentials", answer, "What the list credentials holds.")
    _judge_login(run, answer, run.main)
    _logs(run, run.main)
    _metrics(run, run.api.call("containers.metrics", run.main))


def _judge_login(run: Run, answer: Answer, id_: str) -> None:
    text = "For a compute container the user is the SSH user"
    if not answer.ok:
        run.skip("containers.credentials", text, f"the request was not accepted: {answer.describe()}")
        return
    user = reading.field(answer.get("mainCredentials"), "username")
    port = reading.field(answer.get("connectionInfo"), "port")
    # In the guide's example, the user is the account, and every id begins with it.
    same = isinstance(user, str) and id_.startswith(f"{user}-") and isinstance(port, int) and port != 22
    run.judge(
        "containers.credentials", text, same, "the account and a separate port" if same else "another login"
    )


def _logs(run: Run, id_: str) -> None:
    answer = run.api.call("containers.logs", id_, query={"lines": 1})
    run.form("containers.logs", answer)
    lines = reading.text_in(answer.body).splitlines() if answer.ok else []
    most = run.api.call("containers.logs", id_, query={"lines": 500})
    run.judge(
        "containers.logs",
        "The parameter lines",
        answer.ok and most.ok and len(lines) <= 1,
        f"{len(lines)} line for lines=1; {most.status} for 500",
    )
    run.refuses(
        "containers.logs",
        "A number of lines below 1",
        run.api.call("containers.logs", id_, query={"lines": 0}),
    )
    run.refuses(
        "containers.logs",
        "A number of lines above",
        run.api.call("containers.logs", id_, query={"lines": 501}),
    )


def _metrics(run: Run, answer: Answer) -> None:
    run.form("containers.metrics", answer)
    found = answer.get("metrics") or answer.data
    series: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    missing = [name for name in _METRICS if not isinstance(series.get(name), list)]
    run.judge(
        "containers.metrics",
        "The answer has cpu",
        not missing,
        f"missing: {', '.join(missing)}" if missing else "all five",
    )
    problems = [
        problem
        for name in _METRICS
        if name not in missing
        for problem in [contract().misfit({"$ref": "#/components/schemas/Series"}, series[name])]
        if problem is not None
    ]
    text = "The form of a point, and the units."
    if problems:
        run.judge("containers.metrics", text, holds=False, evidence=problems[0])
    else:
        run.skip("containers.metrics", text, "the form of a point agrees; no answer names a unit")


def certificate(run: Run) -> None:
    """The SSH key of the compute container, and another one."""
    if run.main is None:
        return
    before = run.api.call("containers.certificate", run.main)
    run.form("containers.certificate", before)
    run.judge(
        "containers.certificate",
        "A compute container has",
        before.ok and "PRIVATE KEY" in before.text,
        f"{before.status}",
    )
    made = run.api.call("containers.regenerate_certificate", run.main)
    run.form("containers.regenerate_certificate", made)
    if "PRIVATE KEY" in made.text:
        run.judge(
            "containers.regenerate_certificate",
            "The form of the answer",
            holds=False,
            evidence="the answer holds the new key",
        )
    after = run.api.call("containers.certificate", run.main)
    differs = before.ok and after.ok and digest_of(before) != digest_of(after)
    run.judge(
        "containers.regenerate_certificate",
        "The key is another one",
        differs,
        "another" if differs else "the same",
    )


def digest_of(answer: Answer) -> str:
    """Return a digest of a body, to compare two secrets."""
    return hashlib.sha256(answer.text.encode()).hexdigest()
