"""The scenes of a run, in order. Each observes what it can, and leaves the compute container running."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tools.acceptance.run import Run
from tools.acceptance.scenes import access, backups, connections, creation, ending, files, life, plans, vpn

__all__ = ["SCENES"]

SCENES: Final[tuple[Callable[[Run], None], ...]] = (
    creation.reads,
    creation.refusals,
    creation.main_container,
    files.credentials_logs_and_metrics,
    files.certificate,
    life.restart_stop_and_start,
    access.external_access,
    backups.backups,
    connections.managed_service,
    connections.connections,
    vpn.not_a_vpn,
    ending.deletion,
    vpn.vpn,
    plans.plans,
    ending.what_was_seen,
)
