"""The aligner's two costly steps, written so that they cost little; the numbers are NeMo's (tests hold them to it).

NeMo builds the distance of all frames to all symbols as a [B, C, T, N] tensor: 400 MB for a small batch. The square
of a difference is |q|^2 + |k|^2 - 2 q.k, which is one matrix product. NeMo's monotonic alignment search is compiled
when it is first called, for some seconds; vectorised over the batch, numpy needs no compiler.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nemo.collections.tts.models.fastpitch import FastPitchModel
    from torch import Tensor


def squared_distance(queries_enc: Tensor, keys_enc: Tensor) -> Tensor:
    """``queries_enc`` [B, C, T], ``keys_enc`` [B, C, N] -> squared Euclidean distances [B, 1, T, N], float32."""
    import torch

    with torch.autocast(queries_enc.device.type, enabled=False):
        queries, keys = queries_enc.float(), keys_enc.float()
        squares = queries.square().sum(1).unsqueeze(2) + keys.square().sum(1).unsqueeze(1)
        return torch.baddbmm(squares, queries.transpose(1, 2), keys, alpha=-2.0).unsqueeze(1)


def hard_alignment(attention: Tensor, text_lengths: Tensor, mel_lengths: Tensor) -> Tensor:
    """The most likely monotonic path through ``attention`` [B, 1, T, N]: ones and zeros of the same shape."""
    import torch

    with torch.no_grad():
        log_attention = torch.log(attention.detach().float()).cpu().numpy()[:, 0]
        path = monotonic_path(log_attention, text_lengths.cpu().numpy(), mel_lengths.cpu().numpy())
        return torch.from_numpy(path[:, None]).to(attention.device)


def monotonic_path(
    log_attention: NDArray[np.float32], text_lengths: NDArray[Any], mel_lengths: NDArray[Any]
) -> NDArray[np.float32]:
    """Best path from (0, 0) to (T - 1, N - 1) that stays or moves on by one symbol a frame.

    ``log_attention`` [B, T, N]; lengths [B], 1 <= text <= mel. Returns float32 [B, T, N] of ones and zeros.
    """
    batch, frames, symbols = log_attention.shape
    rows = np.arange(batch)
    score = np.full((batch, symbols + 1), -np.inf, dtype=np.float32)  # column 0 is the impossible predecessor
    score[:, 1] = log_attention[:, 0, 0]
    moved = np.zeros((frames, batch, symbols), dtype=bool)
    for frame in range(1, frames):
        stay, move = score[:, 1:], score[:, :-1]
        moved[frame] = move >= stay
        score[:, 1:] = np.maximum(stay, move) + log_attention[:, frame]
    path = np.zeros((batch, frames, symbols), dtype=np.float32)
    symbol = text_lengths.astype(np.intp) - 1
    for frame in range(frames - 1, 0, -1):
        inside = frame < mel_lengths
        path[rows[inside], frame, symbol[inside]] = 1
        symbol = symbol - (inside & (symbol > 0) & moved[frame, rows, symbol])
    path[rows, 0, symbol] = 1
    return path


@contextmanager
def fast_alignment(model: FastPitchModel) -> Iterator[None]:
    """Use the two functions above in ``model`` while it trains; its class and its state stay as they are."""
    from nemo.collections.tts.modules import fastpitch as module

    stock_distance, stock_alignment = model.aligner.dist_fn, module.binarize_attention_parallel
    model.aligner.dist_fn = squared_distance
    module.binarize_attention_parallel = hard_alignment
    try:
        yield
    finally:
        model.aligner.dist_fn, module.binarize_attention_parallel = stock_distance, stock_alignment
