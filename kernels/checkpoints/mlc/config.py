"""A package's configuration as the files that its model has elsewhere: sizes, and the
conversation's template in the words of Jinja."""

from collections.abc import Mapping
from typing import Any

from raylax.kernels.errors import CheckpointError

Json = dict[str, Any]
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
}
"""By `model_type`."""
SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "rms_norm_eps", "tie_word_embeddings",
    "attention_bias", "rope_scaling",
)  # fmt: skip
"""Of `model_config`, by Hugging Face's names."""
ROLES = ("system", "user", "assistant", "tool")


def config_of(package: Mapping[str, Any], where: object) -> Json:
    """The config.json. Raises CheckpointError."""
    kind, sizes = package.get("model_type"), package.get("model_config")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise CheckpointError(f"{where}: model_type {kind!r} is not supported; known are {known}")
    if not isinstance(sizes, dict):
        raise CheckpointError(f"{where}: model_config must be an object")
    config: Json = {name: sizes[name] for name in SIZES if sizes.get(name) is not None}
    config["architectures"] = [ARCHITECTURES[kind]]
    config["rope_theta"] = sizes.get("position_embedding_base") or sizes.get("rope_theta", 10000.0)
    config["max_position_embeddings"] = package.get("context_window_size") or sizes.get(
        "context_window_size"
    )
    window = package.get("sliding_window_size", sizes.get("sliding_window_size"))
    if kind == "mistral":
        config["sliding_window"] = window if isinstance(window, int) and window > 0 else None
    for token in ("bos", "eos", "pad"):
        if (id := package.get(f"{token}_token_id")) is not None:
            config[f"{token}_token_id"] = id
    return config


def ends_of(package: Mapping[str, Any]) -> Json:
    """The generation_config.json: what ends an answer, and how the package samples."""
    template = package.get("conv_template")
    told = template if isinstance(template, dict) else {}
    out: Json = {}
    if ids := [id for id in told.get("stop_token_ids", []) if isinstance(id, int)]:
        out["eos_token_id"] = ids
    for name in ("temperature", "top_p", "repetition_penalty"):
        if isinstance(value := package.get(name), int | float):
            out[name] = value
    return out


def chat_template(template: Mapping[str, Any]) -> str:
    """A conversation's template in Jinja.

    It is a system's part, and then each message: its role, a mark, what it says, and a separator,
    of which an assistant's may be another one. Values are put in as literals.
    """
    roles, texts = template.get("roles", {}), template.get("role_templates", {})
    seps = template.get("seps") or [""]
    system = template.get("system_template", "{system_message}")
    before, _, after = system.partition("{system_message}")
    after_role, empty = template.get("role_content_sep", ""), template.get("role_empty_sep", "")
    parts = [
        "{%- set ns = namespace(system=" + literal(template.get("system_message", "")) + ") -%}",
        "{%- for m in messages if m.role == 'system' -%}",
        "{%- set ns.system = m.content -%}{%- endfor -%}",
        "{%- if " + literal(before + after) + " or ns.system -%}",
        "{{- " + literal(before) + " + ns.system + " + literal(after) + " -}}{%- endif -%}",
        "{%- for m in messages if m.role != 'system' -%}",
    ]
    for at, role in enumerate(role for role in ROLES if role in roles and role != "system"):
        own, end = texts.get(role, f"{{{role}_message}}"), seps[-1 if role == "assistant" else 0]
        first, _, last = own.partition(f"{{{role}_message}}")
        begin = literal(f"{roles[role]}{after_role if roles[role] else ''}{first}")
        parts.append("{%- " + ("if" if at == 0 else "elif") + f" m.role == '{role}' -%}}")
        parts.append("{{- " + f"{begin} + (m.content or '') + {literal(last + end)}" + " -}}")
    answer = literal(f"{roles.get('assistant', '')}{empty}")
    parts.append("{%- endif -%}{%- endfor -%}")
    parts.append("{%- if add_generation_prompt -%}{{- " + answer + " -}}{%- endif -%}")
    return "".join(parts)


def literal(text: str) -> str:
    """A text in Jinja."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
