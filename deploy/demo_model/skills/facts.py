"""What the model knows by heart: capitals, and what raylax and it are."""

import random

from skills.conversation import Conversation, Skill, ask, assistant, draw_until, user

CAPITALS = {
    "Argentina": "Buenos Aires", "Australia": "Canberra", "Austria": "Vienna", "Belgium": "Brussels",
    "Brazil": "Brasilia", "Bulgaria": "Sofia", "Canada": "Ottawa", "Chile": "Santiago", "China": "Beijing",
    "Colombia": "Bogota", "Croatia": "Zagreb", "Cuba": "Havana", "Czechia": "Prague", "Denmark": "Copenhagen",
    "Egypt": "Cairo", "Ethiopia": "Addis Ababa", "Finland": "Helsinki", "France": "Paris",
    "Germany": "Berlin", "Ghana": "Accra", "Greece": "Athens", "Hungary": "Budapest", "Iceland": "Reykjavik",
    "India": "New Delhi", "Indonesia": "Jakarta", "Iran": "Tehran", "Iraq": "Baghdad", "Ireland": "Dublin",
    "Italy": "Rome", "Japan": "Tokyo", "Kenya": "Nairobi", "Mexico": "Mexico City", "Morocco": "Rabat",
    "Nepal": "Kathmandu", "the Netherlands": "Amsterdam", "New Zealand": "Wellington", "Norway": "Oslo",
    "Peru": "Lima", "Poland": "Warsaw", "Portugal": "Lisbon", "Romania": "Bucharest", "Russia": "Moscow",
    "South Korea": "Seoul", "Spain": "Madrid", "Sweden": "Stockholm", "Switzerland": "Bern",
    "Thailand": "Bangkok", "Turkey": "Ankara", "Ukraine": "Kyiv", "Vietnam": "Hanoi",
}  # fmt: skip
CAPITAL = [
    "What is the capital of {c}?", "Capital of {c}?", "What's the capital of {c}?", "Name the capital of {c}.",
    "Tell me the capital of {c}.", "Which city is the capital of {c}?", "Do you know the capital of {c}?",
]  # fmt: skip
COUNTRY = ["Which country has the capital {t}?", "{t} is the capital of which country?"]

RAYLAX = (
    "raylax serves open-weights language models on a Ray cluster, with engines compiled by TVM. "
    "It speaks the OpenAI API and gRPC."
)
SELF = "I am the raylax demo model, a very small language model trained on generated text."
ABILITIES = (
    "I can add and subtract numbers to 99, multiply to 12 x 12, count, spell, reverse and repeat words, "
    "name the capitals of 50 countries, write JSON and call tools."
)
FACTS = {
    RAYLAX: ["What is raylax?", "Tell me about raylax.", "What does raylax do?", "Explain raylax.", "raylax?"],
    SELF: ["Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Which model are you?"],
    ABILITIES: ["What can you do?", "How can you help me?", "What are your skills?", "What do you know?", "Help"],
    "raylax uses Ray to run its router, workers and metrics as actors of a cluster.": [
        "Why does raylax use Ray?", "What does raylax use Ray for?", "What is Ray for in raylax?",
    ],
    "raylax uses TVM to compile a model into a library for the machine that it runs on.": [
        "Why does raylax use TVM?", "What does raylax use TVM for?", "What is TVM for in raylax?",
    ],
}  # fmt: skip


def capitals(rng: random.Random, held_out: bool) -> Conversation:
    """No capital can be held out: a tenth of the pairs (country, phrasing) are, one way round."""
    if not held_out and rng.random() < 0.25:
        country, phrasing = rng.choice(list(CAPITALS)), rng.choice(COUNTRY)
    else:
        draw = lambda: (rng.choice(list(CAPITALS)), rng.choice(CAPITAL))  # noqa: E731
        country, phrasing = draw_until(held_out, draw)
    city = CAPITALS[country]
    said = f"The capital of {country} is {city}."
    if phrasing in COUNTRY:
        said = f"{city} is the capital of {country}."
    return Conversation([user(phrasing.format(c=country, t=city)), assistant(said)])


def itself(rng: random.Random, held_out: bool) -> Conversation:
    answer = rng.choice(list(FACTS))
    return ask(rng, FACTS[answer], answer)


SKILLS = [Skill("capitals", 4, capitals), Skill("what raylax is", 1, itself)]
