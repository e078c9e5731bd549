"""Law 1. A request's tokens depend on its prompt, its parameters and its seed, on nothing else."""

from collections.abc import Sequence as Several
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from raylax.kernels.cpu.formats import NAMES
from raylax.kernels.model import StepOutput
from raylax.proto.pages import ROOT, names_of
from raylax.proto.vocabulary import Load, Request, Sampling, StepTime
from raylax.worker.config import EngineConfig
from raylax.worker.scheduling import decider
from raylax.worker.scheduling.drafting.base import Seen, proposal_of
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.scheduling.drafting.model_proposer import ModelProposer
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.speculation.proposals import Proposal, Speculation
from tests.support.checkpoints import write_checkpoint
from tests.support.draft_heads import write_head, write_medusa
from tests.support.engines import running_engine

PROMPT = tuple(np.random.default_rng(3).integers(2, 99, 100).tolist())
SAMPLINGS = {
    "greedy": Sampling(temperature=0.0),
    "seeded": Sampling(temperature=1.0, top_p=0.95, top_k=40, seed=11),
    "penalised": Sampling(
        temperature=0.8, min_p=0.02, seed=12, repetition_penalty=1.2, presence_penalty=0.5
    ),
}
LENGTH = 24


class Case(NamedTuple):
    """How the request is sampled, and how the engine keeps weights, keys and values."""

    sampling: str
    quantization: str
    kv_dtype: str = "auto"

    @property
    def request(self) -> Request:
        return Request("asked", PROMPT, LENGTH, SAMPLINGS[self.sampling])

    @property
    def least_chunk(self) -> int:
        """Of a prompt. Each size is a step to compile; the smaller ones of every format are in
        `tests/kernels/cpu/test_same_bits.py`."""
        return 16 if self.quantization == "q0f32" else 64

    def config(self, chunk: int, **changed: object) -> EngineConfig:
        return EngineConfig(
            max_num_sequence=16, prefill_chunk_size=chunk, max_single_sequence_length=256
        ).complete(quantization=self.quantization, kv_dtype=self.kv_dtype, **changed)


CASES = [
    *(Case(sampling, "q0f32") for sampling in SAMPLINGS),
    *(Case("seeded", name) for name in NAMES if name != "q0f32"),
    Case("seeded", "q4f32_1", "int8"),
]


def others(count: int) -> list[Request]:
    """Neighbours of all lengths, sampled differently."""
    rng = np.random.default_rng(4)
    return [
        Request(
            f"other{i}",
            tuple(rng.integers(2, 99, rng.integers(1, 150)).tolist()),
            int(rng.integers(1, 40)),
            Sampling(temperature=float(i % 2), seed=i),
        )
        for i in range(count)
    ]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    """Every sampling, and every format with one of them."""
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def alone(case: Case, checkpoint: Path) -> list[int]:
    """The answer with nothing beside it, from a cold cache, its prompt in one piece."""
    config = case.config(chunk=256, speculative_mode="disable")
    with running_engine(checkpoint, config) as (engine, answers):
        engine.add_request(case.request)
        answers.wait_for("asked")
        return answers.tokens("asked")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For the model, with random weights: one of EAGLE's first kind, and three of Medusa's."""
    eagle, medusa = tmp_path_factory.mktemp("eagle"), tmp_path_factory.mktemp("medusa")
    return {"eagle": write_head(eagle, "eagle-1"), "medusa": write_medusa(medusa, "medusa")}


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same tokenizer."""
    return write_checkpoint(tmp_path_factory.mktemp("stranger"), "mistral-one-kv-head", seed=9)


def test_the_answer_has_its_length(alone: list[int]) -> None:
    """Else the comparisons below would compare nothing."""
    assert len(alone) == LENGTH
    assert len(set(alone)) > 3


@pytest.mark.parametrize(
    ("case", "chunk"),
    [(case, chunk) for case in CASES for chunk in (16, 64, 256) if chunk >= case.least_chunk],
    indirect=["case"],
    ids=lambda one: str(one) if isinstance(one, int) else "-".join(one),
)
def test_in_a_full_batch(case: Case, alone: list[int], checkpoint: Path, chunk: int) -> None:
    """Neighbours before and after it, the prompt cut into chunks of this size at most."""
    with running_engine(checkpoint, case.config(chunk)) as (engine, answers):
        neighbours = others(24)
        for one in (*neighbours[:12], case.request, *neighbours[12:]):
            engine.add_request(one)
        answers.wait_for("asked", *(one.id for one in neighbours))

        assert answers.tokens("asked") == alone


def test_where_prefills_and_decodes_take_turns(
    case: Case, alone: list[int], checkpoint: Path
) -> None:
    """And no pages are kept after their end."""
    least = case.least_chunk
    config = case.config(least, prefill_mode="chunked", prefix_cache_max_num_recycling_seqs=0)
    with running_engine(checkpoint, config) as (engine, answers):
        neighbours = others(12)
        for one in (*neighbours[:6], case.request, *neighbours[6:]):
            engine.add_request(one)
        answers.wait_for("asked", *(one.id for one in neighbours))

        assert answers.tokens("asked") == alone
        assert engine.load().pages_cached == 0


@pytest.mark.parametrize("sinks", [0, 4])
def test_with_a_window_that_the_prompt_is_longer_than(checkpoint: Path, sinks: int) -> None:
    """The window is computed, and the tokens are the same among others, by pages that are found,
    and after preemption; what is behind the window is others' meanwhile."""
    case = Case("seeded", "q0f32")
    config = case.config(64, sliding_window_size=24, attention_sink_size=sinks)
    short = config.complete(max_total_sequence_length=256, prefill_chunk_size=16)
    said = []
    for few in (config, short, short.complete(prefix_cache_mode="disable")):
        with running_engine(checkpoint, few) as (engine, answers):
            neighbours = others(12)
            for one in (*neighbours[:6], case.request, *neighbours[6:]):
                engine.add_request(one)
            answers.wait_for("asked", *(one.id for one in neighbours))
            said.append(answers.tokens("asked"))
            engine.add_request(replace(case.request, id="again"))
            answers.wait_for("again")
            said.append(answers.tokens("again"))
            assert engine.config.sliding_window_size == 24
    with running_engine(checkpoint, case.config(64)) as (engine, answers):
        engine.add_request(case.request)
        answers.wait_for("asked")

        assert answers.tokens("asked") != said[0]
    assert said == [said[0]] * 6 and len(said[0]) == LENGTH


@pytest.mark.parametrize(
    ("mode", "width", "sinks"),
    [("medusa", 3, 0), ("medusa", 3, 4), ("eagle", 1, 4), ("eagle", 3, 0), ("small_draft", 2, 4)],
)
def test_with_a_window_and_what_drafts(
    checkpoint: Path, heads: dict[str, Path], stranger: Path, mode: str, width: int, sinks: int
) -> None:
    """In trees, whose branches share what is left of the sequence's pages; and beside the tokens
    that never leave the window."""
    case = Case("seeded", "q0f32")
    config = case.config(64, sliding_window_size=24, attention_sink_size=sinks)
    alone = said_alone(checkpoint, config, case.request)
    drafting = config.complete(
        max_total_sequence_length=256, speculative_mode=mode, spec_draft_length=3,
        spec_tree_width=width, additional_models=(str({**heads, "small_draft": stranger}[mode]),),
    )  # fmt: skip
    tokens, load = among_others(checkpoint, drafting, case.request, 8)

    assert tokens == alone
    assert load.drafted_tokens > 100


def said_alone(checkpoint: Path, config: EngineConfig, request: Request) -> list[int]:
    """The answer with nothing beside it, and nothing drafted."""
    plain = config.complete(speculative_mode="disable")
    with running_engine(checkpoint, plain) as (engine, answers):
        engine.add_request(request)
        answers.wait_for(request.id)
        return answers.tokens(request.id)


class SecondGuess:
    """Drafts a wrong token each time, and has the right one beside it."""

    width, most, reads, time = 1, 1, False, StepTime()

    def __init__(self, answer: list[int]) -> None:
        self.answer = answer

    def behind(self, one: Sequence) -> int | None:
        return 0

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> None:
        for one, _ in wanted:
            right = self.answer[one.generated]
            proposal_of(one).draft.append((right + 1) % 99)
            proposal_of(one).others.append(right)

    def follow(self, seen: Several[Seen], output: StepOutput) -> None:
        pass


@pytest.mark.parametrize("sinks", [0, 4])
def test_with_a_window_and_branches_that_are_right(
    checkpoint: Path, heads: dict[str, Path], sinks: int
) -> None:
    """What a branch computes again sees farther back than the next token: those pages are still
    there. And what it has left is found by others."""
    case = Case("seeded", "q0f32")
    config = case.config(64, sliding_window_size=24, attention_sink_size=sinks)
    alone = said_alone(checkpoint, config, case.request)
    drafting = config.complete(
        speculative_mode="medusa", spec_draft_length=1, spec_tree_width=2,
        additional_models=(str(heads["medusa"]),),
    )  # fmt: skip
    with running_engine(checkpoint, drafting) as (engine, answers):
        proposer = engine._slot.loaded().batch.proposer
        assert isinstance(proposer, ModelProposer)
        proposer.drafter = SecondGuess(alone)
        engine.add_request(case.request)
        answers.wait_for("asked")
        accepted = engine.load().accepted_tokens
        proposer.drafter = None
        engine.add_request(replace(case.request, id="again", history=tuple(alone[:22])))
        answers.wait_for("again")

        assert answers.tokens("asked") == alone
        assert accepted > LENGTH / 3
        assert answers.tokens("again") == alone[22:]


def test_moved_with_the_pages_that_its_window_sees(checkpoint: Path) -> None:
    """Another engine goes on, with pages of the first one, or as far as it still has them."""
    case, names = Case("seeded", "q0f32"), list(names_of(PROMPT, ROOT))
    config = case.config(64, sliding_window_size=24)
    with running_engine(checkpoint, config) as (engine, answers):
        engine.add_request(case.request)
        answers.wait_for("asked")
        said, contents = answers.tokens("asked"), engine.read_pages(names)
    history = tuple(said[:7])
    for name, first, known in (("all", 0, 96), ("some", 4, 96), ("too few", 5, 0)):
        with running_engine(checkpoint, config) as (engine, answers):
            engine.write_pages(names[first:], contents[first:])
            engine.add_request(replace(case.request, id=name, history=history))
            answers.wait_for(name)

            assert answers.tokens(name) == said[7:]
            assert max(delta.cached_tokens for delta in answers.deltas[name]) == known


def test_with_a_warm_prefix(case: Case, alone: list[int], checkpoint: Path) -> None:
    """Part of the prompt, then all of it, is found in the cache."""
    with running_engine(checkpoint, case.config(chunk=64)) as (engine, answers):
        engine.add_request(Request("before", PROMPT[:70], 4, SAMPLINGS["greedy"]))
        answers.wait_for("before")
        engine.add_request(case.request)
        answers.wait_for("asked")
        first = answers.deltas.pop("asked")
        engine.add_request(case.request)
        answers.wait_for("asked")

        assert [t for delta in first for t in delta.token_ids] == alone
        assert max(delta.cached_tokens for delta in first) == 64
        assert answers.tokens("asked") == alone
        assert max(delta.cached_tokens for delta in answers.deltas["asked"]) == 96


@pytest.mark.parametrize("copied", [False, True])
def test_after_preemption(
    case: Case,
    alone: list[int],
    checkpoint: Path,
    copied: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With too few pages for all, sequences give theirs back and are computed again, or those are
    copied to host memory and back, whichever was decided."""
    monkeypatch.setattr(decider, "is_put_aside", lambda tokens, room, *_: copied)
    few = case.config(chunk=64, max_total_sequence_length=256, swap_space_bytes=1 << 30)
    with running_engine(checkpoint, few) as (engine, answers):
        rivals = [Request(f"r{i}", PROMPT[i : i + 40], 60, SAMPLINGS["greedy"]) for i in range(4)]
        for one in (*rivals, case.request):
            engine.add_request(one)
        answers.wait_for("asked", *(one.id for one in rivals))

        assert engine.load().preemptions > 0
        assert (engine.done["pages_put_back"] > 0) == copied
        assert answers.tokens("asked") == alone


@pytest.mark.parametrize("emitted", [1, 7, 23])
def test_resumed_elsewhere(case: Case, alone: list[int], checkpoint: Path, emitted: int) -> None:
    """Another engine, given the tokens so far as history, says the rest."""
    resumed = replace(case.request, history=tuple(alone[:emitted]))
    with running_engine(checkpoint, case.config(chunk=64)) as (engine, answers):
        engine.add_request(resumed)
        answers.wait_for("asked")

        assert answers.tokens("asked") == alone[emitted:]


def among_others(
    checkpoint: Path, config: EngineConfig, request: Request, count: int
) -> tuple[list[int], Load]:
    """The answer beside so many neighbours who came before, and what the engine has done then."""
    with running_engine(checkpoint, config) as (engine, answers):
        neighbours = others(count)
        for one in (*neighbours, request):
            engine.add_request(one)
        answers.wait_for(request.id, *(one.id for one in neighbours))
        return answers.tokens(request.id), engine.load()


def test_with_drafts_of_the_text_so_far(case: Case, alone: list[int], checkpoint: Path) -> None:
    """Of a fixed length, so that they are mostly wrong."""
    config = case.config(chunk=64, spec_draft_length=5)
    tokens, load = among_others(checkpoint, config, case.request, 12)

    assert tokens == alone
    assert load.drafts > 0


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_with_a_model_that_drafts(
    case: Case, alone: list[int], checkpoint: Path, stranger: Path, right: bool
) -> None:
    """The same model in its own precision, whose drafts are often right, or another one that grows
    trees. It has too few pages for all, so sequences give theirs back."""
    config = case.config(
        chunk=64,
        max_total_sequence_length=512,
        speculative_mode="small_draft",
        spec_draft_length=4,
        spec_tree_width=1 if right else 3,
        additional_models=(str(checkpoint if right else stranger),),
    )
    tokens, load = among_others(checkpoint, config, case.request, 8)

    assert tokens == alone
    assert load.drafted_tokens > 100
    assert load.accepted_tokens > 0 or not right


@pytest.mark.parametrize("case", CASES[: len(SAMPLINGS)], indirect=True, ids="-".join)
@pytest.mark.parametrize("mode", ["eagle", "medusa"])
def test_with_heads_that_draft(
    case: Case, alone: list[int], checkpoint: Path, heads: dict[str, Path], mode: str
) -> None:
    """And are mostly wrong; beside others, with too few pages for all."""
    config = case.config(
        chunk=64,
        max_total_sequence_length=512,
        speculative_mode=mode,
        spec_draft_length=3,
        additional_models=(str(heads[mode]),),
    )
    tokens, load = among_others(checkpoint, config, case.request, 8)

    assert tokens == alone
    assert load.drafted_tokens > 100


def test_with_drafts_of_other_answers(case: Case, alone: list[int], checkpoint: Path) -> None:
    """What the same tenant was answered before is looked up, be it the same or not."""
    config = case.config(chunk=64, spec_draft_length=5, spec_lookup_answers=True)
    with running_engine(checkpoint, config) as (engine, answers):
        for one in (replace(case.request, id="before"), *others(1), case.request):
            engine.add_request(one)
            answers.wait_for(one.id)

        assert answers.tokens("asked") == alone
        assert engine.load().accepted_tokens > LENGTH / 2


class Oracle(Speculation):
    """Knows the answer, and lies with every fifth token."""

    def __init__(self, answer: list[int]) -> None:
        super().__init__()
        self.answer = [token ^ (at % 5 == 4) for at, token in enumerate(answer)]

    def propose(self, one: Proposal, tokens: Several[int], most: int, least: float) -> None:
        quoted, said = tuple(tokens[: len(PROMPT)]), len(tokens) - len(PROMPT)
        one.draft = self.answer[said : said + most] if quoted == PROMPT else []
        one.likely = 1.0


def test_with_drafts_that_are_right(case: Case, alone: list[int], checkpoint: Path) -> None:
    """As far as they are: five tokens come of most steps then, one of them not as it was
    drafted."""
    with running_engine(checkpoint, case.config(chunk=64)) as (engine, answers):
        engine._slot.loaded().batch.proposer = Lookup(Oracle(alone))
        engine.add_request(case.request)
        answers.wait_for("asked")

        assert answers.tokens("asked") == alone
        assert engine.load().drafts == 5
        assert engine.load().accepted_tokens == LENGTH - 1 - 5
