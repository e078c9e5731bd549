"""The conversation templates that MLC knows by name, as data: marks of roles, separators, and what
ends an answer.

A package that MLC-LLM has made has its template whole; one that names it has what stands here. The
marks are those that the models were trained on. What a system says by default is raylax's own,
where the model's form does not prescribe it.
"""

from typing import Any

Json = dict[str, Any]
HELPFUL = "You are a helpful assistant."
INSTRUCTED = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request."
)
"""Alpaca's form."""
INSTRUCTED_JP = "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"
"""The same of llm-jp."""


def conversation(
    user: str,
    assistant: str,
    after: str = "",
    empty: str | None = None,
    *,
    seps: tuple[str, ...] = ("",),
    texts: tuple[str, ...] = (),
    ids: tuple[int, ...] = (),
    begin: tuple[int, ...] = (),
    system: str = "{system_message}",
    says: str = "",
    tool: str | None = None,
    **more: Any,
) -> Json:
    """`after`: between a role and its content, `empty`: between a role and nothing, by default the
    same; `texts` and `ids` end an answer; `begin`: ids of a prompt's first tokens; `says`: the
    system, where nobody says otherwise."""
    roles = {"user": user, "assistant": assistant} | ({} if tool is None else {"tool": tool})
    return {
        "system_template": system, "system_message": says, "roles": roles, "seps": list(seps),
        "role_content_sep": after, "role_empty_sep": after if empty is None else empty,
        "stop_str": list(texts), "stop_token_ids": list(ids),
        "system_prefix_token_ids": list(begin), **more,
    }  # fmt: skip


def chatml(*ids: int, **more: Any) -> Json:
    """ChatML, ended by these ids."""
    given = {
        "seps": ("<|im_end|>\n",), "texts": ("<|im_end|>",), "says": HELPFUL,
        "system": "<|im_start|>system\n{system_message}<|im_end|>\n", **more,
    }  # fmt: skip
    return conversation("<|im_start|>user", "<|im_start|>assistant", "\n", ids=ids, **given)


def qwen(*ids: int, thinks: str = "", **more: Any) -> Json:
    """Qwen's ChatML. `thinks`: with what an answer begins."""
    made = chatml(*ids, texts=("<|endoftext|>", "<|im_end|>"), **more)
    made["roles"]["assistant"] += thinks
    return made


def llama3(*ids: int, **more: Any) -> Json:
    """Llama 3 and 3.1."""
    return conversation(
        "<|start_header_id|>user", "<|start_header_id|>assistant", "<|end_header_id|>\n\n",
        seps=("<|eot_id|>",), ids=ids, begin=(128000,), says=HELPFUL,
        system="<|start_header_id|>system<|end_header_id|>\n\n{system_message}<|eot_id|>", **more,
    )  # fmt: skip


def deepseek(*ids: int) -> Json:
    """Version 3, and what was distilled from R1."""
    return conversation(
        "<｜User｜>", "<｜Assistant｜>", seps=("", "<｜end▁of▁sentence｜>"), ids=ids,
        system="<｜begin▁of▁sentence｜>{system_message}", says=HELPFUL,
    )  # fmt: skip


def deepseek_2() -> Json:
    """Versions 1 and 2."""
    return conversation(
        "User", "Assistant", ": ", ":", seps=("\n\n", "<｜end▁of▁sentence｜>"),
        texts=("<｜end▁of▁sentence｜>",), ids=(100001,), begin=(100000,),
    )  # fmt: skip


def phi(*ids: int, begin: int, texts: tuple[str, ...] = ("<|endoftext|>",), **more: Any) -> Json:
    """From version 3 on."""
    return conversation(
        "<|user|>", "<|assistant|>", "\n", seps=("<|end|>\n",), texts=texts, ids=ids,
        begin=(begin,), **more,
    )  # fmt: skip


def gemma(*ids: int) -> Json:
    return conversation(
        "<start_of_turn>user", "<start_of_turn>model", "\n", seps=("<end_of_turn>\n",),
        texts=("<end_of_turn>",), ids=ids, begin=(2,),
    )  # fmt: skip


def stablelm(*ids: int) -> Json:
    return conversation(
        "<|user|>", "<|assistant|>", "\n", seps=("<|endoftext|>",), texts=("<|endoftext|>",),
        ids=ids,
    )  # fmt: skip


def ministral(says: str) -> Json:
    """Roles are written around what they say."""
    around = {
        "user": "[INST]{user_message}[/INST]", "assistant": "{assistant_message}</s>",
        "tool": "[TOOL_RESULTS]{tool_message}[/TOOL_RESULTS]",
    }  # fmt: skip
    return conversation(
        "", "", tool="", texts=("</s>",), ids=(2,), begin=(1,), role_templates=around, says=says,
        system="[SYSTEM_PROMPT]{system_message}[/SYSTEM_PROMPT]{function_string}",
    )  # fmt: skip


def plain(*ids: int, texts: tuple[str, ...] = (), begin: tuple[int, ...] = ()) -> Json:
    """No roles: what is said goes on."""
    return conversation("", "", texts=texts, ids=ids, begin=begin)


PHI_SYSTEM = "<|system|>\n{system_message}"
END = ("</s>",)
ONCE: Json = {"add_role_after_system_message": False}
PRESETS: dict[str, Json] = {
    "LM": plain(2, begin=(1,)),
    "aya-23": conversation(
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        seps=("<|END_OF_TURN_TOKEN|>",), texts=("<|END_OF_TURN_TOKEN|>",), ids=(6, 255001),
        begin=(5,), says=HELPFUL,
        system="<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{system_message}<|END_OF_TURN_TOKEN|>",
    ),
    "chatml": chatml(2),
    "chatml_nosystem": chatml(2, system="{system_message}", says=""),
    "codellama_completion": plain(2, texts=END, begin=(1,)),
    "codellama_instruct": conversation(
        "[INST]", "[/INST]", " ", seps=(" ",), texts=END, ids=(2,), begin=(1,)
    ),
    "deepseek": deepseek_2(),
    "deepseek_r1_llama": deepseek(128001),
    "deepseek_r1_qwen": deepseek(151643),
    "deepseek_v2": deepseek_2(),
    "deepseek_v3": deepseek(1),
    "dolly": conversation(
        "### Instruction", "### Response", ":\n", seps=("\n\n", "### End\n"), texts=("### End",),
        ids=(50256,), says=INSTRUCTED,
    ),
    "gemma3_instruction": gemma(1, 106),
    "gemma_instruction": gemma(1, 107),
    "glm": conversation(
        "问", "答", ": ", ":", tool="问", seps=("\n\n",), texts=END, ids=(2,), begin=(64790, 64792)
    ),
    "gorilla": conversation(
        "USER", "ASSISTANT", ": ", ":", tool="USER", seps=("\n", "</s>"), texts=END, ids=(2,),
        begin=(1,), says=HELPFUL, role_templates={
            "user": "<<question>> {user_message} <<function>> {function_string}",
        },
    ),
    "gorilla-openfunctions-v2": conversation(
        "### Instruction", "### Response", ": ", tool="### Instruction", seps=("\n", "<|EOT|>"),
        texts=("<|EOT|>",), ids=(100015,), begin=(100000,), says=HELPFUL, role_templates={
            "user": "<<function>>{function_string}\n<<question>>{user_message}",
        },
    ),
    "gpt2": plain(50256, texts=END),
    "gpt_bigcode": plain(0, texts=("<|endoftext|>",)),
    "hermes2_pro_llama3": chatml(128001, 128009, 128003, tool="<|im_start|>tool"),
    "hermes3_llama-3_1": chatml(128001, 128008, 128009, 128040, tool="<|im_start|>tool"),
    "llama-2": conversation(
        "<s>[INST]", "[/INST]", " ", tool="[INST]", seps=(" ", " </s>"), texts=("[INST]",),
        ids=(2,), begin=(1,), says=HELPFUL,
        system="[INST] <<SYS>>\n{system_message}\n<</SYS>>\n\n", **ONCE,
    ),
    "llama-3": llama3(128001, 128009, texts=("<|end_of_text|>", "<|eot_id|>")),
    "llama-3_1": llama3(128001, 128008, 128009, tool="<|start_header_id|>ipython"),
    "llama-4": conversation(
        "<|header_start|>user", "<|header_start|>assistant", "<|header_end|>\n\n",
        tool="<|header_start|>ipython", seps=("<|eot|>",), ids=(200001, 200007, 200008),
        begin=(200000,), system="", **ONCE,
    ),
    "llava": conversation(
        "USER", "ASSISTANT", ": ", ":", seps=(" ",), texts=END, ids=(2,), begin=(1,), says="\n",
        **ONCE,
    ),
    "llm-jp": conversation(
        "\n\n### 指示:", "\n\n### 応答:", "\n", seps=("", "</s>"), ids=(2,), begin=(1,),
        says=INSTRUCTED_JP,
    ),
    "ministral3": ministral(HELPFUL),
    "ministral3_reasoning": ministral(
        "Think first, as long as you need, between [THINK] and [/THINK]. Then give an answer that "
        "stands by itself, in the language of the question."
    ),
    "mistral_default": conversation(
        "[INST]", "[/INST]", " ", "", tool="[INST]", seps=(" ",), texts=END, ids=(2,), begin=(1,),
        system="[INST] {system_message}", says=HELPFUL, **ONCE,
    ),
    "nemotron": conversation(
        "<extra_id_1>User", "<extra_id_1>Assistant", "\n", tool="<extra_id_1>Tool", seps=("\n",),
        texts=END, ids=(3,), begin=(2,), system="<extra_id_0>System\n{system_message}\n\n",
    ),
    "neural_hermes_mistral": chatml(2, 32000),
    "oasst": conversation(
        "<|prompter|>", "<|assistant|>", ": ", seps=("<|endoftext|>",), texts=("<|endoftext|>",),
        ids=(2,),
    ),
    "olmo": conversation(
        "<|user|>", "<|assistant|>", "\n", seps=("\n",), ids=(50279,), begin=(50279,)
    ),
    "olmo2": conversation(
        "<|user|>", "<|assistant|>", "\n", seps=("<|endoftext|>\n",), texts=("<|endoftext|>",),
        ids=(100257,), begin=(100257,), system="<|system|>\n{system_message}\n",
    ),
    "open_hermes_mistral": chatml(2, 32000),
    "orion": conversation(
        "Human: ", "Assistant: ", "", "</s>", seps=("\n\n", "</s>"), texts=END, ids=(2,),
        begin=(1,),
    ),
    "phi-2": conversation(
        "Instruct", "Output", ": ", ":", seps=("\n",), texts=("<|endoftext|>",), ids=(50256,)
    ),
    "phi-3": phi(2, 32000, 32001, 32007, begin=1, system=PHI_SYSTEM, says=HELPFUL),
    "phi-3-vision": phi(2, 32000, 32001, 32007, begin=1),
    "phi-4": phi(
        199999, 200020, begin=200022, texts=("<|endoftext|>", "<|end|>"), system=PHI_SYSTEM,
        says=HELPFUL,
    ),
    "qwen2": qwen(151643, 151645),
    "qwen3": qwen(151643, 151645, strip_reasoning_in_history=True),
    "qwen3_5": qwen(248046, 248044, thinks="\n<think>"),
    "qwen3_5_nothink": qwen(248046, 248044, thinks="\n<think>\n\n</think>\n"),
    "redpajama_chat": conversation(
        "<human>", "<bot>", ": ", ":", seps=("\n",), texts=("<human>",), ids=(0,)
    ),
    "rwkv_world": conversation(
        "User", "Assistant", ": ", seps=("\n\n",), texts=("\n\n",), ids=(0,),
        system="User: hi\n\nAssistant: {system_message}", says="Hi. How can I help you?",
    ),
    "stablelm": conversation(
        "<|USER|>", "<|ASSISTANT|>", ": ", ids=(50278, 50279, 50277, 1, 0),
        says=f"<|SYSTEM|>{HELPFUL}",
    ),
    "stablelm-2": stablelm(100257),
    "stablelm-3b": stablelm(0),
    "tinyllama_v1_0": conversation(
        "<|user|>", "<|assistant|>", "\n", seps=END, texts=END, ids=(2,), says=HELPFUL,
        system="<|system|>\n{system_message}</s>",
    ),
    "wizard_coder_or_math": conversation(
        "Instruction", "Response", ":\n", seps=("\n\n### ",), texts=END, ids=(2,), begin=(1,),
        says=INSTRUCTED,
    ),
    "wizardlm_7b": conversation(
        "User", "Response", ": ", ":", seps=("###",), texts=("###",), ids=(2,), begin=(1,)
    ),
}  # fmt: skip
