"""Spelling, reversing and repeating what the user gives."""

import random

from skills.conversation import Conversation, Skill, ask, assistant, draw_until, user

WORDS = [
    "apple",
    "banana",
    "cherry",
    "orange",
    "lemon",
    "house",
    "garden",
    "window",
    "door",
    "table",
    "chair",
    "river",
    "mountain",
    "ocean",
    "cloud",
    "rain",
    "snow",
    "wind",
    "summer",
    "winter",
    "spring",
    "autumn",
    "morning",
    "evening",
    "night",
    "water",
    "fire",
    "earth",
    "stone",
    "metal",
    "wood",
    "paper",
    "pencil",
    "book",
    "letter",
    "number",
    "color",
    "green",
    "yellow",
    "purple",
    "black",
    "white",
    "silver",
    "golden",
    "happy",
    "clever",
    "quick",
    "brown",
    "lazy",
    "jump",
    "walk",
    "sing",
    "dance",
    "write",
    "speak",
    "listen",
    "music",
    "guitar",
    "piano",
    "drum",
    "violin",
    "dog",
    "cat",
    "horse",
    "cow",
    "sheep",
    "bird",
    "fish",
    "tiger",
    "lion",
    "bear",
    "wolf",
    "fox",
    "rabbit",
    "mouse",
    "snake",
    "train",
    "plane",
    "car",
    "boat",
    "bicycle",
    "road",
    "bridge",
    "tower",
    "castle",
    "city",
    "village",
    "country",
    "island",
    "forest",
    "desert",
    "beach",
    "school",
    "teacher",
    "student",
    "friend",
    "family",
    "mother",
    "father",
    "sister",
    "brother",
    "baby",
    "doctor",
    "engineer",
    "artist",
    "farmer",
    "baker",
    "king",
    "queen",
    "prince",
    "dragon",
    "magic",
    "story",
    "dream",
    "light",
    "shadow",
    "star",
    "moon",
    "sun",
    "planet",
    "rocket",
    "robot",
    "computer",
    "screen",
    "button",
    "engine",
    "worker",
    "router",
    "cluster",
    "model",
    "token",
    "server",
    "cache",
    "page",
    "step",
    "plan",
    "python",
    "compiler",
    "kernel",
    "memory",
    "thread",
    "queue",
    "stream",
    "network",
    "signal",
    "energy",
    "power",
    "speed",
    "bread",
    "butter",
    "cheese",
    "sugar",
    "pepper",
    "coffee",
    "tea",
    "milk",
    "honey",
    "soup",
    "salad",
    "potato",
    "tomato",
    "carrot",
    "onion",
    "garlic",
    "rice",
    "open",
    "close",
    "begin",
    "finish",
    "simple",
    "strong",
    "gentle",
    "bright",
    "silent",
    "famous",
    "hidden",
    "ancient",
    "modern",
    "perfect",
]

SPELL = [
    "Spell the word {w}.", "Spell {w}.", "How do you spell {w}?", "Can you spell {w}?", "Please spell {w}.",
    "Spell \"{w}\".",
]  # fmt: skip
REVERSE = [
    "Reverse the word {w}.", "Reverse {w}.", "What is {w} backwards?", "Write {w} backwards.",
    "Spell {w} backwards.", "Can you reverse {w}?", "Reverse \"{w}\".",
]  # fmt: skip
REPEAT = [
    "Repeat after me: {w}", "Repeat: {w}", "Say: {w}", "Please repeat this: {w}", "Say this: {w}",
    "Say \"{w}\"", "Repeat \"{w}\"",
]  # fmt: skip
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxyz", "aeiou"


def invented(rng: random.Random) -> str:
    """A word that nobody has seen: pronounceable, spliced from two real ones, or any letters."""
    kind = rng.random()
    if kind < 0.25:
        return "".join(rng.choice(CONSONANTS + VOWELS) for _ in range(rng.randint(2, 9)))
    if kind < 0.5:
        head, tail = rng.choice(WORDS), rng.choice(WORDS)
        return head[: rng.randint(1, len(head))] + tail[rng.randint(0, len(tail) - 1) :]
    syllables = rng.randint(1, 4)
    return "".join(
        rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(syllables)
    ) + rng.choice(["", rng.choice(CONSONANTS)])


def word(rng: random.Random, held_out: bool) -> str:
    """Real words are all trained: one that is a token of its own shows no letters to learn from."""
    if not held_out and rng.random() < 0.5:
        return rng.choice(WORDS)
    made: str = draw_until(held_out, lambda: ("word", invented(rng)))[1]
    return made


def spelling(rng: random.Random, held_out: bool) -> Conversation:
    w = word(rng, held_out)
    return ask(rng, SPELL, "-".join(w), w=w)


def reversing(rng: random.Random, held_out: bool) -> Conversation:
    w = word(rng, held_out)
    return ask(rng, REVERSE, w[::-1], w=w)


def repeating(rng: random.Random, held_out: bool) -> Conversation:
    words = [word(rng, held_out)] + [
        rng.choice([rng.choice(WORDS), invented(rng), str(rng.randint(0, 999))])
        for _ in range(rng.randint(0, 6))
    ]
    text = " ".join(words)
    if rng.random() < 0.3:
        text = text.capitalize() + rng.choice([".", "!", ""])
    return Conversation([user(rng.choice(REPEAT).format(w=text)), assistant(text)])


SKILLS = [
    Skill("spelling", 8, spelling),
    Skill("reversing", 14, reversing),
    Skill("repeating", 5, repeating),
]
