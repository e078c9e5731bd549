"""A model in a package of MLC."""

from functools import cached_property
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.json_files import read_json
from raylax.kernels.checkpoints.mlc.config import config_of, generation_of, size_of
from raylax.kernels.checkpoints.mlc.conversation import Conversation, named_tokens
from raylax.kernels.checkpoints.mlc.jinja import chat_template, shows_tools
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
from raylax.kernels.families import spec_of
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
        self.config["attention_bias"] = "model.layers.0.self_attn.qkv_proj.bias" in parameters
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
        for own, parameter in parameters.items():
            module = own.removesuffix(".q_weight")
            if module != own:
                grouped = self._grouped(module, parameters)
                found |= self._apart(f"{module}.weight", grouped)
            elif not own.endswith(".q_scale"):
                found |= self._apart(own, parameter)
        return found

    def _grouped(self, module: str, parameters: dict[str, Parameter]) -> Grouped:
        if (scales := parameters.get(f"{module}.q_scale")) is None:
            raise CheckpointError(f"{self.path}: parameter {module}.q_scale is missing")
        how, s = GROUPINGS[self.package["quantization"]], self.spec
        depths = {"o_proj": s.heads * s.head_dim, "down_proj": s.intermediate}
        depth = depths.get(module.rpartition(".")[2], s.hidden)
        made = Grouped(parameters[f"{module}.q_weight"], scales, how, depth)
        check_fit(module, made)
        return made

    def _apart(self, name: str, whole: Stored) -> dict[str, Stored]:
        s = self.spec
        keys = s.kv_heads * s.head_dim
        if ".qkv_proj." in name:
            sizes = {"q_proj": s.heads * s.head_dim, "k_proj": keys, "v_proj": keys}
            fused = "qkv_proj"
        elif ".gate_up_proj." in name:
            sizes, fused = {"gate_proj": s.intermediate, "up_proj": s.intermediate}, "gate_up_proj"
        else:
            return {name: self._active(name, whole)}
        if whole.shape[0] != sum(sizes.values()):
            raise CheckpointError(
                f"{whole.file}: {name}: {sum(sizes.values())} rows expected, found {whole.shape[0]}"
            )
        out: dict[str, Stored] = {}
        first = 0
        for own, count in sizes.items():
            out[name.replace(fused, own)] = whole.part(first, count)
            first += count
        return out

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
