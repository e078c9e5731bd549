"""Sums and differences of numbers to 99, products to 12 x 12, counting."""

import random

from skills.conversation import Conversation, Skill, ask, assistant, draw_until, user

SUM = [
    "What is {a} + {b}?", "{a} + {b}", "{a}+{b}=", "What is {a} plus {b}?", "Calculate {a} + {b}.",
    "How much is {a} plus {b}?", "Add {a} and {b}.", "What's {a}+{b}?", "Compute {a} plus {b}.",
    "What is the sum of {a} and {b}?", "Can you add {a} and {b}?", "Please tell me {a} + {b}.",
]  # fmt: skip
DIFFERENCE = [
    "What is {a} - {b}?", "{a} - {b}", "{a}-{b}=", "What is {a} minus {b}?", "Calculate {a} - {b}.",
    "How much is {a} minus {b}?", "Subtract {b} from {a}.", "What's {a}-{b}?", "Compute {a} minus {b}.",
]  # fmt: skip
PRODUCT = [
    "What is {a} * {b}?", "{a} * {b}", "{a}*{b}=", "What is {a} times {b}?", "Calculate {a} x {b}.",
    "How much is {a} times {b}?", "Multiply {a} by {b}.", "What's {a} x {b}?",
    "What is the product of {a} and {b}?",
]  # fmt: skip
COUNT = [
    "Count from {a} to {b}.", "Count from {a} up to {b}.", "Please count from {a} to {b}.",
    "Can you count from {a} to {b}?", "List the numbers from {a} to {b}.",
]  # fmt: skip
COUNT_TO = ["Count to {b}.", "Please count to {b}.", "Can you count to {b}?"]


def operands(rng: random.Random) -> tuple[int, int]:
    """Half of the pairs small, as people ask them."""
    top = rng.choice([20, 99, 99])
    return rng.randint(0, top), rng.randint(0, top)


def pair(rng: random.Random, held_out: bool, sign: str) -> tuple[int, int]:
    """a + b and b + a are one content: neither is trained when the other is held out."""

    def draw() -> tuple[object, ...]:
        a, b = operands(rng)
        return sign, min(a, b), max(a, b)

    _, a, b = draw_until(held_out, draw)
    return (a, b) if rng.random() < 0.5 else (b, a)


def sums(rng: random.Random, held_out: bool) -> Conversation:
    a, b = pair(rng, held_out, "+")
    return ask(rng, SUM, f"{a} + {b} = {a + b}", a=a, b=b)


def differences(rng: random.Random, held_out: bool) -> Conversation:
    a, b = pair(rng, held_out, "-")
    return ask(rng, DIFFERENCE, f"{a} - {b} = {a - b}", a=a, b=b)


def products(rng: random.Random, held_out: bool) -> Conversation:
    """A table to memorise: every product is trained, phrasings are drawn afresh."""
    a, b = rng.randint(0, 12), rng.randint(0, 12)
    return ask(rng, PRODUCT, f"{a} * {b} = {a * b}", a=a, b=b)


def counting(rng: random.Random, held_out: bool) -> Conversation:
    """From 1 is always trained, as people ask it; other ranges may be held out."""

    def draw() -> tuple[object, ...]:
        start = rng.randint(0, 90)
        return "count", start, min(start + rng.randint(1, rng.choice([10, 25, 60])), 130)

    if not held_out and rng.random() < 0.4:
        a, b = 1, rng.randint(2, rng.choice([10, 25, 60]))
    else:
        _, a, b = draw_until(held_out, draw)
    answer = ", ".join(str(i) for i in range(a, b + 1))
    return ask(rng, COUNT_TO if a == 1 and rng.random() < 0.5 else COUNT, answer, a=a, b=b)


def chained(rng: random.Random, held_out: bool) -> Conversation:
    """A sum, then something added to or taken from its result."""
    first = sums(rng, held_out)
    total = int(first.messages[-1]["content"].split("= ")[1])
    step = rng.randint(1, 20)
    add = rng.random() < 0.5 or total < step
    plus = ["Add {n} to that.", "And plus {n}?", "Now add {n}.", "What if you add {n}?"]
    minus = ["Subtract {n} from that.", "And minus {n}?", "Now subtract {n}."]
    question = rng.choice(plus if add else minus).format(n=step)
    sign, result = ("+", total + step) if add else ("-", total - step)
    return Conversation(
        [*first.messages, user(question), assistant(f"{total} {sign} {step} = {result}")]
    )


SKILLS = [
    Skill("sums to 99", 7, sums),
    Skill("differences to 99", 10, differences),
    Skill("products to 12 x 12", 2, products),
    Skill("counting", 3, counting),
    Skill("adding to the last result", 3, chained),
]
