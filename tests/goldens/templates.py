"""Writes what transformers makes of the models and requests of `tests/support/prompt_families.py`:
prompts, their ids, and the ids of texts by themselves.

python -m tests.goldens.templates      # in an environment with transformers, at the root
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from tests.support.prompt_families import FAMILIES, REQUESTS, TEXTS, asked_of

HERE = Path(__file__).parent


def rendered(tokenizer: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The prompt and its ids, or that the template refuses it."""
    documents = request.get("documents")
    named = tokenizer.chat_template
    template = named.get("rag") if documents and isinstance(named, dict) else None
    continued = request.get("continue_final_message", False)
    fields = {
        "tools": request.get("tools"),
        "documents": documents,
        "chat_template": template,
        "add_generation_prompt": request.get("add_generation_prompt", not continued),
        "continue_final_message": continued,
        **request.get("chat_template_kwargs", {}),
    }
    try:
        prompt = tokenizer.apply_chat_template(request["messages"], tokenize=False, **fields)
    except Exception as error:
        return {"refused": str(error)[:60]}
    return {"prompt": prompt, "ids": tokenizer(prompt, add_special_tokens=False)["input_ids"]}


def main() -> None:
    goldens: dict[str, Any] = {}
    for name, family in FAMILIES.items():
        with tempfile.TemporaryDirectory() as directory:
            tokenizer = AutoTokenizer.from_pretrained(family.write(Path(directory)))
        goldens[name] = {
            "chats": {asked: rendered(tokenizer, REQUESTS[asked]) for asked in asked_of(name)},
            "texts": [tokenizer(text)["input_ids"] for text in TEXTS],
            "bare": [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS],
            "eos": tokenizer.eos_token_id,
            "special": sorted(
                id for id, token in tokenizer.added_tokens_decoder.items() if token.special
            ),
        }
    lines = [f" {json.dumps(name)}: {json.dumps(one)}" for name, one in goldens.items()]
    (HERE / "templates.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
