"""From the arguments of an engine's constructor to a model that can be loaded, and then is."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from raylax.kernels.checkpoints.readers import config_written, open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.options import silent
from raylax.kernels.sources.fetch import fetch
from raylax.proto.frontend import Frontend
from raylax.proto.text.files import TextFiles
from raylax.worker.api.fetching import on_stderr
from raylax.worker.config import (
    ECHO,
    EngineConfig,
    Mode,
    check_agreement,
    path_and_library,
    path_text,
)
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import ConfigError, EngineStartError
from raylax.worker.hardware.devices import detect_device
from raylax.worker.hardware.machine import machine_for
from raylax.worker.ranks.loading import check_room

Model = str | os.PathLike[str] | None
"""A checkpoint's directory, a GGUF file, org/name of a hub or a short name; None: what
`engine_config` names. A device is anything whose text names one, as `tvm.Device`; None: auto."""
log = logging.getLogger(__name__)


@contextmanager
def starting(step: str, mistake: type[Exception] = ConfigError) -> Iterator[None]:
    """A failure inside reaches the caller with the name of the step; one of the
    caller's as ConfigError. `mistake`: what else is the caller's, in this step."""
    try:
        yield
    except (ConfigError, mistake) as error:
        raise ConfigError(f"{step}: {error}") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise EngineStartError(f"{step}: {reason}") from error


@dataclass(frozen=True)
class OpenedModel:
    """A model whose files are here and can be read, and what is asked of its engine."""

    config: EngineConfig
    """It names its model, library and mode."""
    device: str
    """As `detect_device` says it."""
    config_dicts: list[dict[str, Any]]
    """What the files of the model say, and those of what drafts: an MLC package's of its own."""
    frontend: Frontend
    """Of a model of which nobody knows yet how long its sequences may be."""

    def frontend_for(self, config: EngineConfig) -> Frontend:
        """Of the engine that has come of it, by its complete configuration."""
        lengths = config.max_single_sequence_length, config.max_total_sequence_length
        return replace(self.frontend, max_sequence_length=min(one or 0 for one in lengths))


def open_model(
    model: Model,
    device: object,
    model_lib: str | os.PathLike[str] | None,
    mode: Mode | None,
    engine_config: EngineConfig | None,
) -> OpenedModel:
    """The first steps to an engine. Raises ConfigError, EngineStartError, with the name of the one
    that failed."""
    with starting("config check"):
        config = EngineConfig() if engine_config is None else engine_config
        if not isinstance(config, EngineConfig):
            raise ConfigError(
                f"engine_config must be an EngineConfig, which EngineConfig.from_dict makes; found "
                f"{config!r}"
            )
        library, named = path_text("model_lib", model_lib), path_text("model", model)
        check_agreement(config, model=named, model_lib=library, mode=mode)
        if (model := named or config.model) is None:
            raise ConfigError("model must be given, or engine_config.model; found neither")
        chosen = config.mode or "local" if mode is None else mode
        config = config.complete(model_lib=library or config.model_lib, mode=chosen)
    with starting("device detection"):
        where = detect_device(device)
    with starting("model resolution", CheckpointError):
        further = [path_and_library(one) for one in config.additional_models]
        checkpoint, *drafts = (
            fetch(one, lambda: machine_for(where), on_stderr()).path
            for one in (model, *(path for path, _ in further))
        )
        pairs = zip(drafts, (library for _, library in further), strict=True)
        config = config.complete(additional_models=tuple(pairs))
    with starting("model config"):
        opened = open_checkpoint(checkpoint, weights=config.model_lib != ECHO)
        written = [config_written(one) for one in (checkpoint, *drafts)]
        dicts = [opened.config if one is None else one for one in written]
        files = TextFiles(opened.text)
    with starting("tokenizer and conversation template"):
        frontend = Frontend.load(files, model, max_sequence_length=0, pooling=config.pooling)
    return OpenedModel(config.complete(model=str(checkpoint)), where, dicts, frontend)


def load_model(engine: ThreadedEngine, opened: OpenedModel) -> EngineConfig:
    """Load it; the complete configuration. Raises as `open_model`."""
    with starting("reload"):
        config = opened.config
        if config.model_lib != ECHO:
            check_room(config, opened.device)
        engine.reload(config, log_progress if config.verbose else silent)
        return EngineConfig.from_json(engine.get_complete_engine_config())


def log_progress(stage: str, fraction: float) -> None:
    """A `ProgressCallback` for engines that are verbose."""
    log.info("%s %.0f%%", stage, 100 * fraction)
