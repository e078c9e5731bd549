"""What llama.cpp answers with the real model of the tests: greedy tokens, and how near each was.

    pip install llama-cpp-python            in an environment of its own
    llama-quantize --allow-requantize MODEL.gguf F32.gguf F32
    python tests/goldens/greedy.py MODEL.gguf F32.gguf

MODEL.gguf is what `raylax pull smollm2` prints where no hub can be reached. Writes greedy.json: of
each prompt the text, its token ids, the ids that follow, and for each of these by how much its
logit was above the next one's. `as_is`: of the file as it is, where llama.cpp rounds activations to
8 bits; `exact`: of the same weights in f32, where it does not.
"""

import hashlib
import json
import sys
from pathlib import Path

import llama_cpp
import numpy as np

TOKENS = 32
OPTIONS = {
    "n_ctx": 256,
    "n_threads": 1,
    "n_threads_batch": 1,
    "logits_all": True,
    "verbose": False,
    "type_k": 0,
    "type_v": 0,
}
"""Keys and values in f32, too."""
CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [
    "The capital of France is",
    "Water boils at a temperature of",
    "Once upon a time, in a small village,",
    "def fibonacci(n):\n    ",
    "The three primary colours are",
    "import numpy as np\n\n",
    "In 1969, the first humans",
    "A triangle with three equal sides is called",
    "The opposite of hot is",
    "1, 2, 3, 4, 5, 6,",
    "Dear Sir or Madam,\n\nI am writing to",
    "Photosynthesis is the process by which",
    "La capitale de l'Espagne est",
    "# Recipe for pancakes\n\nIngredients:\n-",
    "SELECT name, age FROM users WHERE",
    CHAT.format("What is the capital of Japan?"),
    CHAT.format("Write a haiku about the sea."),
    CHAT.format("Explain gravity to a child."),
    CHAT.format("What is 2 + 2?"),
    CHAT.format("List five animals that live in Africa."),
]


def main() -> None:
    path, whole = Path(sys.argv[1]), Path(sys.argv[2])
    as_is, exact = llama_cpp.Llama(str(path), **OPTIONS), llama_cpp.Llama(str(whole), **OPTIONS)
    answers = []
    for prompt in PROMPTS:
        ids = as_is.tokenize(prompt.encode(), add_bos=False, special=True)
        told = {"as_is": answer(as_is, ids), "exact": answer(exact, ids)}
        answers.append({"prompt": prompt, "ids": ids, **told})
    told = {
        "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "llama_cpp_python": llama_cpp.__version__,
        "answers": answers,
    }
    out = Path(__file__).with_name("greedy.json")
    out.write_text(json.dumps(told, ensure_ascii=False) + "\n")


def answer(model: llama_cpp.Llama, ids: list[int]) -> dict[str, object]:
    """The likeliest token after the other, until the model says that it has ended."""
    model.reset()
    model.eval(ids)
    tokens, gaps = [], []
    while len(tokens) < TOKENS:
        logits = model.scores[model.n_tokens - 1]
        second, first = np.argsort(logits)[-2:]
        tokens.append(int(first))
        gaps.append(round(float(logits[first] - logits[second]), 4))
        if first == model.token_eos():
            break
        model.eval([int(first)])
    return {"tokens": tokens, "gaps": gaps}


if __name__ == "__main__":
    main()
