"""What the teacher is asked: chats made of templates and lists of words, and text to go on with.

They are many and of many kinds, so that what it answers is what people are answered. The questions
that `bench/speculation.py` asks are left out, and its text is none of these.
"""

import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from drafts.loads import chats

TOPICS = """
gravity|photosynthesis|the water cycle|volcanoes|earthquakes|the moon|black holes|electricity|magnets|atoms|
cells|DNA|evolution|vaccines|the heart|the brain|sleep|healthy food|exercise|stress|meditation|friendship|
honesty|teamwork|leadership|time management|saving money|taxes|inflation|banks|the stock market|democracy|
elections|human rights|the Roman Empire|ancient Egypt|the Renaissance|the Industrial Revolution|World War II|
the Silk Road|the Great Wall of China|the Olympic Games|football|chess|tennis|swimming|hiking|camping|gardening|
cooking|baking bread|coffee|tea|chocolate|pizza|sushi|breakfast|recycling|climate change|solar energy|
wind power|electric cars|trains|bicycles|airplanes|space travel|robots|computers|the internet|social media|
online privacy|passwords|artificial intelligence|machine learning|databases|Python|JavaScript|recursion|
sorting algorithms|linked lists|unit tests|version control|music|the piano|jazz|painting|photography|films|poetry|
novels|Shakespeare|fairy tales|dragons|the ocean|whales|sharks|coral reefs|rain forests|deserts|mountains|rivers|
snow|thunderstorms|spring|autumn|cats|dogs|horses|elephants|bees|butterflies|birds|penguins|trees|flowers|Paris|
London|Tokyo|New York|India|Brazil|Canada|Australia|Africa|Italy|Greece|fractions|prime numbers|triangles|
percentages|probability|averages|negotiation|job interviews|public speaking|writing emails|learning a language|
reading books|school|homework|birthdays|holidays|weddings|moving to a new city|travelling alone|a picnic
"""
ABOUT = """
What is {0}?|Explain {0} to a child.|Explain {0} in simple terms.|Tell me about {0}.|Write a short story about {0}.|
Write a poem about {0}.|Give me {n} tips about {0}.|List {n} facts about {0}.|Why is {0} important?|
What are the pros and cons of {0}?|Write a paragraph about {0}.|Summarize what you know about {0}.|
How does {0} affect our lives?|What should a beginner know about {0}?|Write an email to a friend about {0}.|
Write a dialogue between two people who talk about {0}.|What is the history of {0}?|Compare {0} and {1}.|
How are {0} and {1} related?|Write a quiz of {n} questions about {0}.|Describe {0} in {n} sentences.|
What are common mistakes about {0}?|Make a plan for a lesson about {0}.|Write a title and an outline for an essay on {0}.|
I want to learn about {0}. Where do I start?|Give me {n} reasons to care about {0}.|Tell me a joke about {0}.|
What would the world be like without {0}?|Write a letter to the editor about {0}.|Is {0} difficult to understand?
"""
THINGS = """
animals|fruits|vegetables|colors|countries|cities|rivers|sports|musical instruments|books|films|jobs|tools|planets|
languages|drinks|desserts|birds|fish|insects|trees|flowers|games|hobbies|inventions|scientists|painters|shapes|
school subjects|things in a kitchen|things in an office|kinds of music|kinds of weather|verbs|adjectives
"""
LISTS = """
List {n} {0}.|Name {n} {0}.|Give me {n} examples of {0}.|What are the {n} most popular {0}?|
Write a list of {n} {0} and describe each.|Which {0} do you like?|Write {n} {0}, a comma between them.
"""
SUMS = """
Count from {a} to {b}.|Count down from {b} to {a}.|What is {a} + {b}?|What is {b} - {a}?|What is {a} times {b}?|
Write the numbers from {a} to {b}, a comma between them.|Tell me about the number {b}.|Is {b} a prime number?|
List the even numbers from {a} to {b}.|What is {a} percent of {b}?|Is {a} greater than {b}?|
A train goes {a} km in an hour. How far does it go in {n} hours?|I had {b} apples and gave away {a}. How many are left?|
Write {b} in words.|What is half of {b}?|Add {a}, {b} and {n}.|Write the multiplication table of {a}.|
Write the numbers from {a} to {b}, each on a line.|How many days are {b} weeks?|What comes after {b}?
"""
CODE = """
Write a Python function that {0}.|Write a JavaScript function that {0}.|Write a program that {0}.|
How do I write code that {0}?|Write a Python function that {0}, with tests.|Explain how a program {0}.
"""
TASKS = """
reverses a string|adds two numbers|checks whether a number is prime|sorts a list|finds the largest number in a list|
counts the words in a text|reads a file line by line|computes the factorial of a number|prints the Fibonacci numbers|
removes duplicates from a list|checks whether a word is a palindrome|converts Celsius to Fahrenheit|merges two lists|
finds a word in a text|computes the average of a list|prints a triangle of stars|downloads a web page|parses JSON|
connects to a database|counts the vowels in a word|rolls a die|guesses a number|draws a random card|sums a list
"""
SMALL_TALK = """
Hello!|Hi, how are you?|Who are you?|What can you do?|Good morning!|Thank you very much.|Can you help me?|
I am bored.|I feel sad today.|Tell me something interesting.|What is your name?|Tell me a joke.|Good night.|
What day is it today?|I had a great day!|Do you like {0}?|Let's talk about {0}.|I do not understand {0}.
"""
PIECE = 1500
"""Characters of a text to go on with, at most."""


def words(text: str) -> list[str]:
    return [word.strip() for word in text.replace("\n", " ").split("|")]


def chat(rng: random.Random) -> str:
    """A question."""
    a = rng.randint(1, 60)
    sizes = {"n": rng.randint(2, 12), "a": a, "b": a + rng.randint(1, 40)}
    kinds = (ABOUT, TOPICS), (ABOUT, TOPICS), (LISTS, THINGS), (SUMS, TOPICS), (CODE, TASKS)
    templates, filled = rng.choice([*kinds, (SMALL_TALK, TOPICS)])
    return rng.choice(words(templates)).format(*rng.sample(words(filled), 2), **sizes)


def questions(rng: random.Random) -> Iterator[str]:
    """Different ones, as long as there are any, and none that is measured on."""
    asked = set(chats(100))
    while True:
        if (text := chat(rng)) not in asked:
            asked.add(text)
            yield text


def pieces(rng: random.Random) -> Iterator[str]:
    """Beginnings of text, of Python's standard library, which every machine has."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    while True:
        text = rng.choice(files).read_text(errors="replace")
        begin = rng.randrange(max(1, len(text) - PIECE))
        yield text[begin : begin + rng.randint(PIECE // 10, PIECE)]
