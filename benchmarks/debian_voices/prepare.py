"""The human voices that Debian packages as a folder of clips with metadata.csv, the form of LJ Speech.

    python benchmarks/debian_voices/prepare.py it recordings/carlo
    python benchmarks/debian_voices/prepare.py it recordings/carlo --packages-folder downloads

Needs Debian or Ubuntu (``apt-get``, ``dpkg-deb``) and ffmpeg. Nothing is installed and no root is needed: the packages
are downloaded and unpacked into a folder. Texts are left as the packages have them, with their mistakes.
"""

from __future__ import annotations

import argparse
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_RATE = 16_000  # Hz, of G.722
_TOGETHER = 40  # files that one ffmpeg decodes


@dataclass(frozen=True)
class DebianVoice:
    """One speaker of the packages asterisk-core-sounds."""

    language: str  # BCP 47
    speaker: str
    license: str

    @property
    def packages(self) -> tuple[str, str]:
        """The package of the texts, and the one of the sounds."""
        name = f"asterisk-core-sounds-{self.language[:2]}"
        return name, f"{name}-g722"


VOICES = {
    "en": DebianVoice("en-US", "Allison", "CC-BY-SA-3.0"),
    "es": DebianVoice("es-MX", "Allison", "CC-BY-SA-3.0"),
    "fr": DebianVoice("fr-CA", "June", "CC-BY-SA-3.0"),
    "it": DebianVoice("it-IT", "Carlo", "CC-BY-SA-3.0"),
}


@dataclass(frozen=True)
class Prepared:
    """What is in the folder now. ``without_text`` and ``without_audio`` are ids."""

    clips: int
    texts: int
    without_text: tuple[str, ...]
    without_audio: tuple[str, ...]


class PreparationError(RuntimeError):
    """The folder cannot be made; the message says why and what to do."""


def prepare(language: str, output: Path, packages_folder: Path | None = None) -> Prepared:
    """Fill ``output`` with wavs/, metadata.csv and the packages' COPYRIGHT. Raises PreparationError.

    ``packages_folder`` holds the two .deb files, or what is in them (``usr/share/...``). Without it, they are
    downloaded.
    """
    voice = VOICES[language]
    for program in ("ffmpeg",) if packages_folder else ("ffmpeg", "apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise PreparationError(f"{program} is not installed")
    with tempfile.TemporaryDirectory() as temporary:
        root = _unpacked(voice, packages_folder, Path(temporary))
        texts = read_texts(_text_file(root, language).read_bytes())
        sounds = _sounds(root, voice)
        _decode(sounds, output / "wavs")
        lines = [f"{name}|{text}|{text}\n" for name, text in sorted(texts.items())]
        (output / "metadata.csv").write_text("".join(lines), encoding="utf-8")
        notice = root / "usr/share/doc" / voice.packages[0] / "copyright"
        if notice.is_file():
            (output / "COPYRIGHT").write_bytes(notice.read_bytes())
    return Prepared(
        len(sounds), len(texts), tuple(sorted(set(sounds) - set(texts))), tuple(sorted(set(texts) - set(sounds)))
    )


def read_texts(data: bytes) -> dict[str, str]:
    """Id to text, from a core-sounds-XX.txt.gz: lines ``name: text``, comments begin with a semicolon.

    Folders in names become part of the id: ``digits/1`` is ``digits_1``. Of two lines for one name the first counts.
    """
    texts: dict[str, str] = {}
    for line in gzip.decompress(data).decode("utf-8-sig").splitlines():
        name, colon, text = line.partition(":")
        text = " ".join(re.sub(r"[|\x00-\x1f]", " ", text).split())
        if colon and text and not line.startswith(";"):
            texts.setdefault(_identifier(name.strip()), text)
    return texts


def _identifier(name: str) -> str:
    return name.replace("/", "_")


def _unpacked(voice: DebianVoice, packages_folder: Path | None, temporary: Path) -> Path:
    """The folder that holds usr/share of both packages."""
    if packages_folder is not None and (packages_folder / "usr/share/asterisk").is_dir():
        return packages_folder
    folder = packages_folder
    if folder is None:
        folder = temporary
        _run(["apt-get", "download", *voice.packages], cwd=folder)
    for package in voice.packages:
        found = sorted(folder.glob(f"{package}_*.deb"))
        if not found:
            raise PreparationError(f"{folder}: there is no {package}_*.deb; get it with: apt-get download {package}")
        _run(["dpkg-deb", "-x", str(found[-1]), str(temporary / "unpacked")], cwd=temporary)
    return temporary / "unpacked"


def _text_file(root: Path, language: str) -> Path:
    path = root / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    if not path.is_file():
        raise PreparationError(f"{path}: the package's texts are not there")
    return path


def _sounds(root: Path, voice: DebianVoice) -> dict[str, Path]:
    """Id to G.722 file."""
    country = voice.language.replace("-", "_")
    folders = sorted((root / "usr/share/asterisk/sounds").glob(f"{country}_*_{voice.speaker}"))
    sounds = {
        _identifier(path.relative_to(folder).with_suffix("").as_posix()): path
        for folder in folders
        for path in sorted(folder.rglob("*.g722"))
    }
    if not sounds:
        raise PreparationError(f"{root}: no sounds of {voice.speaker} ({voice.language}) are there")
    return sounds


def _decode(sounds: Mapping[str, Path], folder: Path) -> None:
    """Each sound as ``<id>.wav``, 16 bit, mono. Clips that are there already are written again."""
    folder.mkdir(parents=True, exist_ok=True)
    items = sorted(sounds.items())
    for first in range(0, len(items), _TOGETHER):
        some = items[first : first + _TOGETHER]
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y"]
        for _, path in some:
            command += ["-f", "g722", "-i", str(path)]
        for number, (name, _) in enumerate(some):
            command += ["-map", str(number), "-bitexact", "-ar", str(SAMPLE_RATE), str(folder / f"{name}.wav")]
        _run(command, cwd=folder)


def _run(command: Sequence[str], *, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PreparationError(f"{command[0]} failed: {' '.join(done.stderr.split())[-500:] or done.returncode}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when the folder is there."""
    parser = argparse.ArgumentParser(description="A Debian voice as a folder of clips with metadata.csv.")
    parser.add_argument("language", choices=sorted(VOICES), help="which voice")
    parser.add_argument("output", type=Path, help="folder to make: wavs/, metadata.csv, COPYRIGHT")
    parser.add_argument("--packages-folder", type=Path, help="folder with the .deb files, or with what is in them")
    options = parser.parse_args(arguments)
    try:
        packages = options.packages_folder.resolve() if options.packages_folder else None
        done = prepare(options.language, options.output.resolve(), packages)
    except PreparationError as error:
        print(error, file=sys.stderr)
        return 1
    voice = VOICES[options.language]
    print(f"{options.output}: {done.clips} clips of {voice.speaker} ({voice.language}, {voice.license})")
    print(f"texts: {done.texts}; clips without text: {len(done.without_text)}; texts without clip: ", end="")
    print(len(done.without_audio))
    return 0


if __name__ == "__main__":
    sys.exit(main())
