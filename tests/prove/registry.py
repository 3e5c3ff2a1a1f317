"""The proofs by name."""

from __future__ import annotations

from typing import Final

from tests.chaos.platforms_proof import PlatformsProof
from tests.chaos.previews_proof import PreviewsProof
from tests.chaos.proof import ChaosProof
from tests.prove.acceptance import AcceptanceProof
from tests.prove.agents import AgentsProof
from tests.prove.broker import BrokerProof
from tests.prove.gate import GateProof
from tests.prove.mutants import Mutants
from tests.prove.proof import Proof

__all__ = ["PROOFS"]

PROOFS: Final[dict[str, type[Proof]]] = {
    "acceptance": AcceptanceProof,
    "agents": AgentsProof,
    "broker": BrokerProof,
    "chaos": ChaosProof,
    "gate": GateProof,
    "mutants": Mutants,
    "platforms": PlatformsProof,
    "previews": PreviewsProof,
}
