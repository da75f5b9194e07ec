"""Waveform and spectrogram of recordings of any length, as small PNG pictures for the UI.

    overview = Overview(total_seconds)
    overview.add(block, sample_rate)     # every block [frames, channels], in order
    waveform_png(overview); spectrogram_png(overview)

The same samples give the same bytes. Memory is one picture, however long the recordings. The overviews of single
files, once made and stored, are merged into that of all of them without their audio.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.decoding import HOPS_PER_SECOND, Samples

COLUMNS = 400  # at most; a column is 100 ms or more
TOP_HZ = 8_000
_WINDOW_SECONDS = 0.032
_WINDOWS_IN_A_HOP = 3
_BINS = round(TOP_HZ * _WINDOW_SECONDS)  # a bin is 31.25 Hz wide at the usual sample rates, within 0.3 %
_SHADES = 32  # of the spectrogram: more cost bytes and show nothing
_RANGE_DB = 80.0  # from the loudest shade to the darkest
_STEPS_FROM_DB = 120.0  # what a stored step of 0 means: this far below full scale, or nothing
_DPI = 80
_INCHES = (8.0, 2.4)
_AXES = (0.08, 0.22, 0.9, 0.74)  # left, bottom, width, height, as shares of the picture
_POWER_OF_STEP = np.array([0.0, *(10 ** ((step / 2 - _STEPS_FROM_DB) / 10) for step in range(1, 256))])


class Overview:
    """Envelope and mean power spectrum of every column of a picture that is ``total_seconds`` wide."""

    def __init__(self, total_seconds: float) -> None:
        self.total_seconds = max(total_seconds, 1 / HOPS_PER_SECOND)
        self.columns = max(1, min(COLUMNS, math.floor(self.total_seconds * HOPS_PER_SECOND)))
        self.low = np.zeros(self.columns, np.float32)
        self.high = np.zeros(self.columns, np.float32)
        self.power = np.zeros((self.columns, _BINS))
        self.windows = np.zeros(self.columns)
        self._seconds = 0.0

    def add(self, block: Samples, sample_rate: int) -> None:
        """Add the next block, float32 [frames, channels]."""
        mono = block.mean(axis=1)
        hop = sample_rate // HOPS_PER_SECOND
        hops = len(mono) // hop
        starts = self._seconds + np.arange(hops + 1) * hop / sample_rate
        columns = np.minimum((starts / self.total_seconds * self.columns).astype(np.int64), self.columns - 1)
        whole, rest = mono[: hops * hop].reshape(hops, hop), mono[hops * hop :]
        if hops:
            self._add_envelope(columns[:hops], whole)
            self._add_spectra(columns[:hops], whole, sample_rate)
        if len(rest):
            self._add_envelope(columns[hops:], rest[np.newaxis])
        self._seconds += len(mono) / sample_rate

    def merge(self, part: Overview) -> None:
        """Add the overview of the next piece of audio: each of its columns goes where its middle falls."""
        middles = self._seconds + (np.arange(part.columns) + 0.5) * part.total_seconds / part.columns
        columns = np.minimum((middles / self.total_seconds * self.columns).astype(np.int64), self.columns - 1)
        starts = np.flatnonzero(np.diff(columns, prepend=-1))  # where the next column of the whole picture begins
        into = columns[starts]
        self.low[into] = np.minimum(self.low[into], np.minimum.reduceat(part.low, starts))
        self.high[into] = np.maximum(self.high[into], np.maximum.reduceat(part.high, starts))
        self.power[into] += np.add.reduceat(part.power, starts)
        self.windows[into] += np.add.reduceat(part.windows, starts)
        self._seconds += part.total_seconds

    def to_bytes(self) -> bytes:
        """All that a picture shows of it, the power in steps of half a decibel: 138 bytes a column."""
        mean = _halved(self.power / np.maximum(self.windows, 1)[:, np.newaxis])
        steps = np.rint(2 * (10 * np.log10(np.maximum(mean, 1e-12)) + _STEPS_FROM_DB)).clip(0, 255).astype(np.uint8)
        head = np.array([self.total_seconds]).astype("<f8").tobytes()
        return head + b"".join(a.astype("<f4").tobytes() for a in (self.low, self.high, self.windows)) + steps.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Overview:
        """The inverse of ``to_bytes``. Raises ValueError for other bytes."""
        size = 12 + _BINS // 2
        columns = (len(data) - 8) // size
        if columns < 1 or len(data) != 8 + columns * size:
            raise ValueError("no stored overview")
        made = cls(float(np.frombuffer(data, "<f8", 1)[0]))
        if made.columns != columns:
            raise ValueError("no stored overview")
        lines = np.frombuffer(data, "<f4", 3 * columns, 8).reshape(3, columns)
        made.low, made.high, made.windows = lines[0].copy(), lines[1].copy(), lines[2].astype(np.float64)
        steps = np.frombuffer(data, np.uint8, columns * (_BINS // 2), 8 + 12 * columns).reshape(columns, -1)
        made.power = (_POWER_OF_STEP[steps] * made.windows[:, np.newaxis]).repeat(2, axis=1)
        return made

    def _add_envelope(self, columns: NDArray[np.int64], hops: Samples) -> None:
        np.minimum.at(self.low, columns, hops.min(axis=1))
        np.maximum.at(self.high, columns, hops.max(axis=1))

    def _add_spectra(self, columns: NDArray[np.int64], hops: Samples, sample_rate: int) -> None:
        size = int(sample_rate * _WINDOW_SECONDS / 32) * 32  # 1408, not 1411, at 44.1 kHz: small prime factors
        used = _WINDOWS_IN_A_HOP * size
        frames = hops[:, :used].reshape(len(hops) * _WINDOWS_IN_A_HOP, size) * np.hanning(size).astype(np.float32)
        power = np.square(np.abs(np.fft.rfft(frames)))[:, :_BINS] / size**2
        sums = power.reshape(len(hops), _WINDOWS_IN_A_HOP, -1).sum(axis=1)
        np.add.at(self.power[:, : sums.shape[1]], columns, sums)
        np.add.at(self.windows, columns, float(_WINDOWS_IN_A_HOP))


def _halved(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two neighbouring bins become one: [columns, bins] -> [columns, bins / 2]."""
    return np.asarray(power.reshape(len(power), _BINS // 2, 2).mean(axis=2))


def waveform_png(overview: Overview) -> bytes:
    """The envelope over time as a PNG."""
    figure, axes = _figure(overview)
    times = np.linspace(0.0, overview.total_seconds, overview.columns)
    axes.fill_between(times, overview.low, overview.high, color="#1f5f8b", linewidth=0.5)
    axes.set_ylim(-1.0, 1.0)
    axes.set_ylabel("amplitude")
    return _png(figure)


def spectrogram_png(overview: Overview) -> bytes:
    """The power spectrum over time up to 8 kHz as a PNG; 80 dB from bright to dark."""
    figure, axes = _figure(overview)
    halved = _halved(overview.power / np.maximum(overview.windows, 1)[:, np.newaxis]).T
    top = max(float(halved.max()), 1e-12)
    decibels = 10 * np.log10(np.maximum(halved / top, 10 ** (-_RANGE_DB / 10)))
    shades = np.floor((decibels / _RANGE_DB + 1) * (_SHADES - 1))
    extent = (0.0, overview.total_seconds, 0.0, TOP_HZ / 1000)
    axes.imshow(shades, origin="lower", aspect="auto", extent=extent, cmap="magma", interpolation="nearest")
    axes.set_ylabel("kHz")
    return _png(figure)


def _figure(overview: Overview) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(_AXES)
    axes.set_xlim(0.0, overview.total_seconds)
    axes.set_xlabel("seconds")
    return figure, axes


def _png(figure: Any) -> bytes:
    """A palette PNG without the library's name and version in it."""
    from PIL import Image

    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    stream = io.BytesIO()
    image.quantize(colors=64, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
