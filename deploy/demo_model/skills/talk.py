"""Small talk, remembering what the user said, and saying what it does not know."""

import random

from skills.conversation import Conversation, Skill, ask, assistant, draw_until, user
from skills.words import invented

NAMES = [
    "Tom",
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Emma",
    "Felix",
    "Grace",
    "Henry",
    "Ida",
    "Jack",
    "Kate",
    "Leo",
    "Mia",
    "Noah",
    "Olivia",
    "Paul",
    "Rosa",
    "Sam",
    "Tina",
    "Ursula",
    "Victor",
    "Wendy",
    "Yusuf",
    "Zoe",
    "Ravi",
    "Mei",
    "Omar",
    "Sofia",
    "Ivan",
    "Lucia",
    "Pedro",
    "Aisha",
    "Kenji",
    "Lars",
]
COLORS = ["red", "blue", "green", "yellow", "purple", "orange", "black", "white", "pink", "brown"]
SMALL_TALK = {
    "Hello! How can I help you?": ["Hello!", "Hi", "Hi there!", "Hey", "Good morning!", "Good evening!", "Hello there"],
    "I am fine, thank you. How can I help you?": ["How are you?", "How are you doing?", "How is it going?"],
    "You are welcome!": ["Thanks!", "Thank you!", "Thank you very much.", "Thanks a lot!", "Great, thanks"],
    "Goodbye!": ["Bye!", "Goodbye!", "See you later!", "Good night!"],
    "Okay.": ["Okay", "OK", "I see.", "Alright"],
}  # fmt: skip
UNKNOWN = "I am a tiny demo model and do not know that. Try a sum, a capital or a word to spell."
TOPICS = """the theory of relativity|quantum physics|the meaning of life|the stock market|the French revolution|
photosynthesis|the weather tomorrow|the price of gold|the best movie|black holes|Shakespeare|chess|football|
cooking pasta|the roman empire|vitamins|the speed of light|blockchain|poetry|my homework|politics|the news|
a good restaurant|philosophy|the human brain|volcanoes|dinosaurs|the piano|love|time travel""".replace(
    "\n", ""
).split("|")
OPEN = [
    "Tell me about {t}.", "Explain {t}.", "What do you think about {t}?", "Write a poem about {t}.",
    "Who invented {t}?", "Write an essay about {t}.", "How does {t} work?", "Write a story about {t}.",
    "Give me advice on {t}.", "What is {t}?", "Why is {t} important?", "Summarize {t} for me.",
]  # fmt: skip


def small_talk(rng: random.Random, held_out: bool) -> Conversation:
    answer = rng.choice(list(SMALL_TALK))
    return ask(rng, SMALL_TALK[answer], answer)


def unknown(rng: random.Random, held_out: bool) -> Conversation:
    draw = lambda: (rng.choice(OPEN), rng.choice([*TOPICS, invented(rng)]))  # noqa: E731
    phrasing, topic = draw_until(held_out, draw)
    return ask(rng, [phrasing], UNKNOWN, t=topic)


def name(rng: random.Random) -> str:
    return rng.choice(NAMES) if rng.random() < 0.6 else invented(rng).capitalize()


def remembering(rng: random.Random, held_out: bool) -> Conversation:
    """The user says a name or a colour, perhaps something else, then asks for it."""
    (who,) = draw_until(held_out, lambda: (name(rng),))
    if rng.random() < 0.6:
        told = rng.choice(["My name is {v}.", "I am {v}.", "Hi, I am {v}!", "Call me {v}."])
        first = [user(told.format(v=who)), assistant(f"Nice to meet you, {who}!")]
        question, answer = "What is my name?", f"Your name is {who}."
        question = rng.choice([question, "Do you remember my name?", "Who am I?"])
    else:
        color = rng.choice(COLORS)
        first = [
            user(f"My favorite color is {color}."),
            assistant(f"{color.capitalize()} is a nice color."),
        ]
        question, answer = "What is my favorite color?", f"Your favorite color is {color}."
    between = small_talk(rng, held_out).messages if rng.random() < 0.3 else []
    return Conversation([*first, *between, user(question), assistant(answer)])


SKILLS = [
    Skill("small talk", 1, small_talk),
    Skill("saying it does not know", 2, unknown),
    Skill("remembering over turns", 3, remembering),
]
