"""The resource that all assets share: where the project and the store are."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from voice_pipeline.project import find_project
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.training.recipe import Recipe, load_recipe
from voice_pipeline.voice import Voice, load_voice_by_id

OWNERS = ["team:voice"]


class Workspace(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The project's root and the store. Empty fields mean VOICE_PROJECT and VOICE_STORE, else the usual places."""

    project: str = ""
    store: str = ""
    _frontends: dict[str, TextFrontend] = PrivateAttr(default_factory=dict)

    def project_root(self) -> Path:
        """The folder that holds configs/."""
        return Path(self.project) if self.project else find_project()

    def open_store(self) -> Store:
        """The store, also where it does not exist yet. Its default is the project's own ``store/``."""
        return Store.open(self.store or None, default=self.project_root() / "store")

    def voice(self, partition: str) -> Voice:
        """The voice of a partition. Raises ConfigError."""
        return load_voice_by_id(self.project_root(), partition)

    def recipe(self, voice: Voice) -> Recipe:
        """How that voice is trained. Raises ConfigError."""
        return load_recipe(self.project_root(), voice.recipe)

    def frontend(self, voice: Voice) -> TextFrontend:
        """The text code of that voice's language, from the installed packages."""
        if voice.language not in self._frontends:
            self._frontends[voice.language] = TextFrontend.for_language(voice.language)
        return self._frontends[voice.language]
