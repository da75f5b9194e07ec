"""What the commands share: their options, the project, the store, and how they say that something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voice_pipeline.failures import ConfigError, VoiceFailure

if TYPE_CHECKING:
    from voice_pipeline.store import Store

StoreOption = Annotated[
    Path | None, typer.Option("--store", envvar="VOICE_STORE", help="The store's folder. [default: store]")
]
VoiceArgument = Annotated[str, typer.Argument(help="The voice's id: its file's name in configs/voices/.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def project_root() -> Path:
    """The project's folder. Raises ConfigError outside one."""
    from voice_pipeline.project import find_project

    return find_project()


def open_store(option: Path | None) -> Store:
    """The store of ``--store``, else of $VOICE_STORE, else the project's."""
    from voice_pipeline.project import find_project
    from voice_pipeline.store import Store

    try:
        return Store.open(option, default=find_project() / "store")
    except ConfigError:
        return Store.open(option)  # a bundle speaks without a project


def say(message: str, code: int) -> int:
    """Print to standard error; returns ``code``."""
    typer.echo(message, err=True)
    return code


def say_failure(failure: VoiceFailure) -> int:
    """Print a failure and what to do next; returns its exit code."""
    return say(f"{failure}\nNext: {failure.next_unblock_action}", failure.exit_code)
