"""Accuracy of a stored checkpoint on content that was kept from training, skill by skill.

    python evaluate.py [CHECKPOINT] [--items 200]

The answers are raylax's own, greedy, as a user gets them.
"""

import argparse
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from skills import SKILLS, Conversation, Skill
from text import render

import raylax

ITEMS = 200
AT_ONCE = 64
LONGEST_ANSWER = 400  # tokens


def answer_to(engine: raylax.MLCEngine, conversation: Conversation) -> str:
    """What the model says in place of the last message."""
    asked = render(Conversation(conversation.messages[:-1], conversation.tools), True)
    said = engine.completions.create(prompt=asked, max_tokens=LONGEST_ANSWER, temperature=0)
    return str(said.choices[0].text)


def expected(conversation: Conversation) -> str:
    """What the template renders for the last message, up to its end mark."""
    before = Conversation(conversation.messages[:-1], conversation.tools)
    return render(conversation).removeprefix(render(before, True)).split("<|im_end|>")[0]


def mistakes(engine: raylax.MLCEngine, skill: Skill, items: int) -> list[tuple[Conversation, str]]:
    """Held-out conversations whose answer is not exactly the expected one, and what was said."""
    rng = random.Random(f"held out {skill.name}")
    drawn = [skill.make(rng, True) for _ in range(items)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = list(pool.map(lambda item: answer_to(engine, item), drawn))
    return [(item, text) for item, text in zip(drawn, said, strict=True) if text != expected(item)]


def evaluate(checkpoint: Path, items: int, show: bool = False) -> None:
    print("| skill | held-out items | exact answers |\n|---|---|---|")
    with raylax.MLCEngine(str(checkpoint), device="cpu", mode="server") as engine:
        for skill in SKILLS:
            wrong = mistakes(engine, skill, items)
            print(f"| {skill.name} | {items} | {1 - len(wrong) / items:.1%} |", flush=True)
            for item, text in wrong if show else ():
                print(f"    {item.messages[-2]['content']!r}: {text!r}, not {expected(item)!r}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="?", default=Path(__file__).parent)
    parser.add_argument("--items", type=int, default=ITEMS, help="for each skill (default: 200)")
    parser.add_argument("--show", action="store_true", help="print every mistake")
    args = parser.parse_args()
    evaluate(args.checkpoint, args.items, args.show)


if __name__ == "__main__":
    main()
