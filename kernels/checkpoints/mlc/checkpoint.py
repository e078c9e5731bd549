"""A model in a package of MLC."""

from functools import cached_property
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.json_files import read_json
from raylax.kernels.checkpoints.mlc.config import config_of, generation_of, size_of
from raylax.kernels.checkpoints.mlc.conversation import Conversation, named_tokens
from raylax.kernels.checkpoints.mlc.jinja import chat_template, shows_tools
from raylax.kernels.checkpoints.mlc.names import (
    MODEL_TYPES,
    QUERY_BIASES,
    Shapes,
    elsewhere,
    parts_of,
)
from raylax.kernels.checkpoints.mlc.parameters import Parameter, read_parameters
from raylax.kernels.checkpoints.mlc.quantisation import GROUPINGS, PLAIN, Grouped, check_fit
from raylax.kernels.checkpoints.stored import StoredCheckpoint
from raylax.kernels.checkpoints.tensors import tensors_for
from raylax.kernels.checkpoints.text.directory import (
    BESIDE,
    TOKENIZER,
    made_of,
    read_object,
    text_files,
)
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import spec_of, tensors_of
from raylax.kernels.spec import DecoderSpec
from raylax.kernels.store import Store

CONFIG = "mlc-chat-config.json"
BY_TOKEN = "model.embed_tokens.weight", "lm_head.weight"
"""Parameters with a row for each token."""
Stored = Parameter | Grouped


class MlcCheckpoint(StoredCheckpoint):
    """A package whose parameters were all found, whole and of the right shape."""

    def __init__(self, path: Path, store: Path | None = None, weights: bool = True) -> None:
        """`store`: where its texts are put. Raises CheckpointError for what is missing, damaged, or
        not known here."""
        self.path, self._store, where = path, Store(store), path / CONFIG
        self.package = read_json(where)
        if not isinstance(self.package, dict):
            raise CheckpointError(f"{where}: must be a JSON object")
        self.config: dict[str, Any] = config_of(self.package, where)
        parameters = read_parameters(path) if weights else {}
        kind = MODEL_TYPES[self.package["model_type"]]
        parameters = {elsewhere(name, kind): one for name, one in parameters.items()}
        self.config["attention_bias"] = any(name.endswith(QUERY_BIASES) for name in parameters)
        self.config["mlp_bias"] = "model.layers.0.mlp.gate_up_proj.bias" in parameters
        self.config.setdefault("tie_word_embeddings", not any("lm_head" in n for n in parameters))
        self.spec: DecoderSpec = spec_of(self.config)
        named = self._named(parameters) if weights else {}
        self.tensors: dict[str, Stored] = tensors_for(self.spec, named, path) if weights else {}
        self.dtype = "float16" if "f16" in str(self.package.get("quantization")) else "bfloat16"
        self.config["torch_dtype"] = self.dtype

    def _named(self, parameters: dict[str, Parameter]) -> dict[str, Stored]:
        """All by Hugging Face's names; what MLC has put together is taken apart."""
        name = self.package.get("quantization")
        if not isinstance(name, str) or name not in (*GROUPINGS, *PLAIN):
            known = ", ".join((*PLAIN, *GROUPINGS))
            raise CheckpointError(
                f"{self.path / CONFIG}: quantization {name!r} is not read; read are {known}"
            )
        found: dict[str, Stored] = {}
        shapes = dict(tensors_of(self.spec))
        for own, parameter in parameters.items():
            module = own.removesuffix(".q_weight")
            if own.endswith(".q_scale"):
                continue
            made: Stored = parameter
            called = own if module == own else f"{module}.weight"
            parts = parts_of(called, shapes)
            if module != own:
                depth = shapes.get(parts[0].format(0), (0, self.spec.own_hidden))[-1]
                made = self._grouped(module, parameters, depth)
            found |= self._apart(called, made, parts, shapes)
        return found

    def _grouped(self, module: str, parameters: dict[str, Parameter], depth: int) -> Grouped:
        if (scales := parameters.get(f"{module}.q_scale")) is None:
            raise CheckpointError(f"{self.path}: parameter {module}.q_scale is missing")
        how = GROUPINGS[self.package["quantization"]]
        return Grouped(parameters[f"{module}.q_weight"], scales, how, depth)

    def _apart(
        self, name: str, whole: Stored, parts: tuple[str, ...], shapes: Shapes
    ) -> dict[str, Stored]:
        """The tensors that one is made of, of each expert if it is of all."""
        if "{}" not in parts[0]:
            return self._split(name, whole, parts, shapes)
        out: dict[str, Stored] = {}
        count = self.spec.experts.count if self.spec.experts else 0
        for one in (whole.words, whole.scales) if isinstance(whole, Grouped) else (whole,):
            if len(one.shape) != 3 or one.shape[0] != count:
                raise CheckpointError(
                    f"{whole.file}: {name}: a matrix for each of {count} experts expected, "
                    f"found {one.shape}"
                )
        for expert in range(count):
            own = tuple(part.format(expert) for part in parts)
            out |= self._split(name, whole.of_expert(expert), own, shapes)
        return out

    def _split(
        self, name: str, whole: Stored, parts: tuple[str, ...], shapes: Shapes
    ) -> dict[str, Stored]:
        if isinstance(whole, Grouped):
            check_fit(name, whole)
        if len(parts) == 1:
            return {parts[0]: self._active(name, whole)}
        sizes = [shapes[part][0] if part in shapes else 0 for part in parts]
        if whole.shape[0] != sum(sizes):
            raise CheckpointError(
                f"{whole.file}: {name}: {sum(sizes)} rows expected, found {whole.shape[0]}"
            )
        starts = [sum(sizes[:at]) for at in range(len(sizes))]
        each = zip(parts, starts, sizes, strict=True)
        return {part: whole.part(first, count) for part, first, count in each}

    def _active(self, name: str, whole: Stored) -> Stored:
        """Without the rows behind the tokens that there are, which are there for even sizes."""
        told = size_of("active_vocab_size", self.package, {}) is not None
        if told and name in BY_TOKEN and whole.shape[0] > self.spec.vocab:
            return whole.part(0, self.spec.vocab)
        return whole

    @cached_property
    def text(self) -> Path:
        """A directory of the store, with the package's tokenizer, and its template in Jinja. Raises
        CheckpointError where there is none."""
        files = [self.path / name for name in (CONFIG, TOKENIZER, *BESIDE)]
        files = [*(file for file in files if file.exists()), *made_of(self.path)]
        return self.written(self._store, self._texts, files)

    def _texts(self) -> dict[str, Any]:
        whole = (self.path / TOKENIZER).exists()
        if whole:
            there = (name for name in (TOKENIZER, *BESIDE) if (self.path / name).exists())
            files = {name: read_object(self.path / name) for name in there}
        else:
            files = text_files(self.path, self.package.get("model_type"))
        conversation = None
        if (told := self.package.get("conv_template")) is not None:
            conversation = Conversation(told, self.path / CONFIG)
            template = chat_template(conversation, named_tokens(files[TOKENIZER]))
            settings = files.setdefault("tokenizer_config.json", {})
            settings["chat_template"] = template
            if shows_tools(conversation):
                settings["tool_format"] = "python"
        generation = generation_of(self.package, conversation)
        return files | {"config.json": self.config, "generation_config.json": generation}
