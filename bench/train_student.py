"""Trains a model of few layers to draft for a larger one, out of some of that one's own layers, on what that one says.

    python bench/train_student.py CHECKPOINT OUT [--minutes 30] [--answers 10] [--layers 0 1 -1]
                                  [--tokens 4096] [--threads 2]

CHECKPOINT is a Llama with tied embeddings that raylax reads; needs torch beside raylax
(deploy/demo_model/requirements.txt). The teacher answers for some minutes (`student/answers.py`),
then the student learns to say the same. It names the tokens that the answers are made of most. At
the end it says how often its drafts are right in answers that were kept from training. Then:

    python bench/speculation.py CHECKPOINT --mode small_draft --draft OUT --draft-quantization q4f32_1
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from student.answers import Said, answered
from student.layers import Student, teacher_of
from student.learning import batches_of, learn, often_said, right

KEPT = 20
"""One answer in so many is kept from training."""


def all_said(args: argparse.Namespace) -> list[Said]:
    """The teacher's answers, which are kept beside the student: those that lie there are taken."""
    file = args.out / "answers.jsonl"
    if not file.exists():
        args.out.mkdir(parents=True, exist_ok=True)
        said = list(answered(args.checkpoint, args.answers * 60, args.threads))
        file.write_text("".join(json.dumps(one) + "\n" for one in said))
    return [Said(*json.loads(line)) for line in file.read_text().splitlines()]


def run(args: argparse.Namespace) -> None:
    said = all_said(args)
    torch.set_num_threads(args.threads)
    teacher = teacher_of(args.checkpoint)
    tokens = often_said(said, args.tokens)
    student = Student(teacher, [at % teacher.c.layers for at in args.layers], tokens)
    kept = batches_of(said[::KEPT])
    learned = batches_of([one for at, one in enumerate(said) if at % KEPT])
    size, count = sum(w.numel() for w in student.parameters()), sum(len(one.answer) for one in said)
    print(f"{len(said)} answers of {count / 1e6:.2f}M tokens", flush=True)
    print(f"{size / 1e6:.1f}M weights learn, {len(tokens)} tokens are named", flush=True)
    learn(student, teacher, learned, args.minutes)
    student.save(args.out, args.checkpoint)
    shares = ", ".join(f"{share:.1%}" for share in right(student, teacher, kept))
    print(f"right at depth 1, 2, …: {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="the teacher")
    add("out", type=Path, help="directory of the student, and of the answers that it learned from")
    add("--minutes", type=float, default=30, help="of training (30)")
    add("--answers", type=float, default=10, help="minutes that the teacher answers (10)")
    add("--layers", type=int, nargs="+", default=[0, 1, -1], help="the teacher's (0 1 -1)")
    add("--tokens", type=int, default=4096, help="that it can name (4096)")
    add("--threads", type=int, default=2, help="CPU threads (2)")
    run(parser.parse_args())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
