"""Whose voice it is: the direction in which most of the utterances' speaker embeddings point.

    voice = find_voice(embeddings)       # float32 [n, 256] of unit length
    similarity = embedding @ voice.centroid

A plain mean is pulled by whoever else speaks; with two speakers it lies between them and is nobody. So the densest
place is sought first, then the mean of what is around it, again and again until it stands still (mean shift on the
sphere, Fukunaga and Hostetler 1975, with a flat kernel): another speaker's utterances are no part of it, however many.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = "1"
# Above 0.85 for one speaker, below 0.75 for two; see recognition/speaker.py.
SAME_FROM = 0.75  # cosine with the centroid
_SHARPNESS = 20.0  # of the kernel that finds the densest place: 0.1 more cosine counts seven times
_CANDIDATES = 400  # places that are tried
_ROUNDS = 30
MAX_SAMPLE = 20_000  # utterances that are looked at, of a million: 20 MB


@dataclass(frozen=True)
class VoiceCentre:
    """``centroid`` is float32 [256] of unit length; ``share`` of the utterances are its speaker's."""

    centroid: NDArray[np.float32]
    share: float


def find_voice(embeddings: NDArray[np.float32]) -> VoiceCentre:
    """The speaker of most of float32 [n, 256]; of two equally many, one of them. Raises ValueError for n = 0.

    The order of the rows changes nothing but rounding, unless two speakers are equally many.
    """
    if not len(embeddings):
        raise ValueError("no embeddings")
    places = np.unique(np.linspace(0, len(embeddings) - 1, _CANDIDATES).round().astype(np.int64))
    density = np.zeros(len(places))
    for first in range(0, len(places), 50):  # 50 x 20,000 cosines are 8 MB
        cosines = embeddings[places[first : first + 50]] @ embeddings.T
        density[first : first + 50] = np.exp(_SHARPNESS * (cosines.astype(np.float64) - 1)).sum(axis=1)
    centre = embeddings[places[int(np.argmax(density))]].astype(np.float64)
    members = np.zeros(len(embeddings), np.bool_)
    for _ in range(_ROUNDS):
        near = embeddings @ centre.astype(np.float32) >= SAME_FROM
        if not near.any() or np.array_equal(near, members):
            break
        members = near
        mean = embeddings[members].mean(axis=0, dtype=np.float64)
        centre = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return VoiceCentre(centre.astype(np.float32), round(float(members.mean()), 6))


class Sample:
    """The utterances with the lowest keys: the same ones in whatever order they come, and few are held."""

    def __init__(self, size: int = MAX_SAMPLE) -> None:
        self._size = size
        self._heap: list[tuple[int, bytes]] = []

    def add(self, key: str, embedding: NDArray[np.float32]) -> None:
        """``key`` is a sha256."""
        entry = (-int(key, 16), embedding.astype("<f4").tobytes())
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def embeddings(self) -> NDArray[np.float32]:
        """float32 [n, 256], by key."""
        rows = [np.frombuffer(data, "<f4") for _, data in sorted(self._heap, reverse=True)]
        return np.stack(rows) if rows else np.zeros((0, 256), np.float32)
