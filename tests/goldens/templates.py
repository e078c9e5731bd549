"""Writes what transformers renders for the templates and conversations of `templates.json`.

python tests/goldens/templates.py      # in an environment with transformers
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

HERE = Path(__file__).parent


def main() -> None:
    cases = json.loads((HERE / "templates.json").read_text())
    for case in cases:
        rendered, _ = render_jinja_template(
            [case["messages"]],
            tools=case["tools"],
            chat_template=case["template"],
            add_generation_prompt=True,
            **case["tokens"],
        )
        case["rendered"] = rendered[0]
    (HERE / "templates.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
