"""Everything the demo model is taught: each skill draws conversations from a random generator."""

import random

from skills import arithmetic, facts, structured, talk, words
from skills.conversation import Conversation, Skill

SINGLE = [*arithmetic.SKILLS, *words.SKILLS, *facts.SKILLS, *talk.SKILLS, *structured.SKILLS]
SYSTEM = [
    "You are a helpful assistant.", "You are a helpful AI assistant.", "Be brief.", "Answer politely.",
    "You are the raylax demo model.", "You are a friendly assistant. Answer the user's questions.",
]  # fmt: skip


def several_turns(rng: random.Random, held_out: bool) -> Conversation:
    """Two or three unrelated exchanges; the last one carries the held-out content."""
    plain = [skill for skill in SINGLE if skill not in structured.SKILLS[1:]]
    drawn = rng.choices(plain, [skill.weight for skill in plain], k=rng.choice([2, 2, 3]))
    parts = [skill.make(rng, held_out and skill is drawn[-1]) for skill in drawn]
    return Conversation([message for part in parts for message in part.messages])


SKILLS = [*SINGLE, Skill("two or three turns", 9, several_turns)]


def draw(rng: random.Random) -> Conversation:
    """One conversation to train on."""
    (skill,) = rng.choices(SKILLS, [skill.weight for skill in SKILLS])
    conversation = skill.make(rng, False)
    if rng.random() < 0.2:
        system = {"role": "system", "content": rng.choice(SYSTEM)}
        return Conversation([system, *conversation.messages], conversation.tools)
    return conversation
