"""What a stage's record says about the models that listened, so that the licence gate can ask about each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["voice activity", "recogniser", "aligner", "speaker encoder"]


@dataclass(frozen=True)
class ListeningModel:
    """One model that a stage used. Records list them as ``models: tuple[ListeningModel, ...]``."""

    role: Role
    model_id: str  # its id in the record of known weights
    sha256: str  # of the weights that were used
