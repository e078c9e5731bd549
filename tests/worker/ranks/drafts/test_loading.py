"""What drafts is found, sized and loaded with its engine."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.kernels.build import load_whole
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CompileError, KernelsError
from raylax.kernels.options import ModelOptions
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.chain import Chain
from raylax.worker.scheduling.drafting.model_proposer import ModelProposer
from raylax.worker.scheduling.drafting.small_draft import SmallModel
from tests.support.batches import Piece, batch_of
from tests.support.checkpoints import write_checkpoint
from tests.support.draft_heads import write_head, write_medusa, write_mimo
from tests.support.engines import ONE, TWO, request, running_engine

PROMPT = [5, 6, 7, 8, 9, 5, 6]


def answer(model: Path, config: EngineConfig) -> tuple[list[int], int]:
    """Tokens of a request, and how many were drafted."""
    with running_engine(model, config) as (engine, answers):
        engine.add_request(request("a", PROMPT, 20))
        answers.wait_for("a")
        return answers.tokens("a"), engine.load().drafted_tokens


def test_a_model_drafts_with_its_own_layer(tmp_path: Path) -> None:
    model = write_mimo(tmp_path)
    without, none = answer(model, ONE.complete(speculative_mode="disable"))
    with_own, drafted = answer(model, ONE.complete(speculative_mode="self", spec_draft_length=2))

    assert with_own == without
    assert none == 0 < drafted


def test_a_models_own_layer_sees_its_window(tmp_path: Path) -> None:
    """And the first tokens, as the model was told; in trees, too."""
    model = write_mimo(tmp_path)
    seen = ONE.complete(sliding_window_size=8, attention_sink_size=2)
    without, _ = answer(model, seen.complete(speculative_mode="disable"))
    for width in (1, 3):
        config = seen.complete(speculative_mode="self", spec_draft_length=2, spec_tree_width=width)
        with_own, drafted = answer(model, config)

        assert with_own == without
        assert drafted > 0
    assert without != answer(model, ONE)[0]


def test_two_ranks_verify_what_the_first_one_drafts(uneven: Path, tmp_path: Path) -> None:
    """Its head reads what both have computed."""
    head = write_head(tmp_path, "eagle-1-odd")
    alone, _ = answer(uneven, ONE.complete(speculative_mode="disable"))
    drafting = TWO.complete(
        speculative_mode="eagle", spec_draft_length=3, additional_models=(str(head),)
    )
    both, drafted = answer(uneven, drafting)

    assert both == alone
    assert drafted > 0


def test_a_complete_configuration_comes_to_the_same_engine(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Of the same sizes, though what drafts has a part of each page."""
    config = ONE.complete(
        speculative_mode="eagle",
        additional_models=(str(write_head(tmp_path, "eagle-1")),),
        max_total_sequence_length=None,
    )
    with running_engine(checkpoint, config) as (engine, _):
        first = EngineConfig.from_json(engine.get_complete_engine_config())
        pages = engine.load().pages_total
        engine.reload(first.complete(max_total_sequence_length=None))

        assert engine.load().pages_total == pages
        assert engine.get_complete_engine_config() == first.asjson()


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("self", "brings no layer that drafts, as MiMoForCausalLM do"),
        ("small_draft", ".*/config.json: architecture .* is not supported"),
        ("eagle", "head of another base: its vocabulary is 201, the base's 99"),
        ("medusa", "head of another base: its vocabulary is 201, the base's 99"),
    ],
)
def test_what_cannot_draft_for_a_model_is_refused(
    checkpoint: Path, tmp_path: Path, mode: str, why: str
) -> None:
    """By what it is, and what would be right: here heads of a model of another size."""
    odd = {"eagle": "eagle-1-odd", "medusa": "medusa-odd", "small_draft": "medusa"}
    write = {"eagle": write_head, "medusa": write_medusa, "small_draft": write_medusa}
    named = (str(write[mode](tmp_path, odd[mode])),) if mode in odd else ()
    config = ONE.complete(speculative_mode=mode, additional_models=named)
    with (
        pytest.raises((KernelsError, ConfigError), match=why),
        running_engine(checkpoint, config),
    ):
        pass


def test_stages_have_no_head(checkpoint: Path, tmp_path: Path) -> None:
    head = write_head(tmp_path, "eagle-1")
    config = ONE.complete(
        speculative_mode="eagle", additional_models=(str(head),), pipeline_parallel_stages=2
    )
    with (
        pytest.raises(ConfigError, match=r"'eagle' needs all layers on rank 0, found .*stages=2"),
        running_engine(checkpoint, config),
    ):
        pass


def test_an_engine_goes_on_without_what_drafts(checkpoint: Path) -> None:
    """When that fails while it serves: nobody's answer is another one."""
    small = ONE.complete(
        speculative_mode="small_draft", spec_draft_length=3, additional_models=(str(checkpoint),)
    )
    want, _ = answer(checkpoint, ONE.complete(speculative_mode="disable"))
    with running_engine(checkpoint, small) as (engine, answers):
        proposer = engine._slot.loaded().batch.proposer
        assert isinstance(proposer, ModelProposer) and proposer.drafter is not None
        proposer.drafter.draft = None  # type: ignore[assignment, method-assign]
        engine.add_request(request("a", PROMPT, 20))
        answers.wait_for("a")

        assert answers.tokens("a") == want
        assert proposer.drafter is None


def test_what_drafts_has_a_quantization_of_its_own(checkpoint: Path) -> None:
    """Beside a model in the checkpoint's own, whose answers stay what they are."""
    want, _ = answer(checkpoint, ONE.complete(speculative_mode="disable"))
    small = ONE.complete(
        speculative_mode="small_draft",
        spec_draft_length=3,
        spec_draft_quantization="q8f32_0",
        additional_models=(str(checkpoint),),
    )
    with running_engine(checkpoint, small) as (engine, answers):
        proposer = engine._slot.loaded().batch.proposer
        assert isinstance(proposer, ModelProposer) and isinstance(proposer.drafter, Chain)
        assert isinstance(proposer.drafter.model, SmallModel)
        engine.add_request(request("a", PROMPT, 20))
        answers.wait_for("a")

        assert proposer.drafter.model.model.quantization == "q8f32_0"
        assert answers.tokens("a") == want
        assert engine.load().drafted_tokens > 0


def test_a_model_may_draft_that_names_some_tokens_only(checkpoint: Path, tmp_path: Path) -> None:
    """Those that a model with logits for all would draft, too, as long as it names them."""
    kept = write_checkpoint(tmp_path, tie_word_embeddings=False, draft_vocab_size=60)
    whole = write_checkpoint(tmp_path / "whole", tie_word_embeddings=False)
    weights = load_file(kept / "model.safetensors")
    tokens = weights.pop("d2t") + np.arange(60)
    head = np.zeros((99, 64), np.float32)
    head[tokens] = weights["lm_head.weight"]
    save_file(weights | {"lm_head.weight": head}, whole / "model.safetensors")
    some, same = (load_whole(one, ModelOptions(threads=1), 4) for one in (kept, whole))
    every = SmallModel(same, 99)
    step = batch_of([Piece(PROMPT, 0, [0])])

    named = open_checkpoint(kept).tokens
    got = SmallModel(some, 99, named).step(step, None)
    want = every.step(step, None).logits[:, tokens]

    assert named is not None and named.tolist() == tokens.tolist()
    assert np.array_equal(got.logits[:, tokens], want)
    assert np.isneginf(np.delete(got.logits, tokens, axis=1)).all()
    assert got.drawn.tolist() == tokens[want.argmax(1)].tolist()


def test_a_model_that_names_some_tokens_drafts_and_does_not_answer(
    checkpoint: Path, tmp_path: Path
) -> None:
    some = write_checkpoint(tmp_path, tie_word_embeddings=False, draft_vocab_size=60)
    want, _ = answer(checkpoint, ONE.complete(speculative_mode="disable"))
    small = ONE.complete(
        speculative_mode="small_draft", spec_draft_length=3, additional_models=(str(some),)
    )
    got, drafted = answer(checkpoint, small)

    assert got == want
    assert drafted > 0
    with (
        pytest.raises(ConfigError, match="draws from 60 of its 99 tokens: it can draft"),
        running_engine(some, ONE),
    ):
        pass


def test_a_model_of_another_vocabulary_may_draft(checkpoint: Path, tmp_path: Path) -> None:
    """If both have the same tokens: one may have more rows for none."""
    wider = write_checkpoint(tmp_path, vocab_size=120)
    want, _ = answer(checkpoint, ONE.complete(speculative_mode="disable"))
    small = ONE.complete(
        speculative_mode="small_draft", spec_draft_length=3, additional_models=(str(wider),)
    )
    got, drafted = answer(checkpoint, small)

    assert got == want
    assert drafted > 0


def library_of(drafts: Proposer | None) -> str:
    """What a small model is run by."""
    assert isinstance(drafts, ModelProposer) and isinstance(drafts.drafter, Chain)
    assert isinstance(drafts.drafter.model, SmallModel)
    return drafts.drafter.model.model.library


def test_what_drafts_is_run_by_the_library_beside_it(checkpoint: Path, tmp_path: Path) -> None:
    """Wherever that lies; one that was made for something else is refused with both, and so is
    none."""
    small = ONE.complete(speculative_mode="small_draft", additional_models=[checkpoint])
    with running_engine(checkpoint, small) as (engine, _):
        here = Path(library_of(engine._slot.loaded().batch.proposer))
        there = shutil.copytree(here.parent, tmp_path / "elsewhere")
        engine.reload(engine.config.complete(additional_models=[(checkpoint, there)]))

        assert Path(library_of(engine._slot.loaded().batch.proposer)) == there / here.name

    heads = {"eagle": write_head(tmp_path / "eagle", "eagle-1"),
             "medusa": write_medusa(tmp_path / "medusa", "medusa")}  # fmt: skip
    for mode, path in heads.items():
        for given, why in ((there, "was made for layers of 64.*this model needs one for layers of"),
                           (tmp_path, "there is no library")):  # fmt: skip
            config = ONE.complete(speculative_mode=mode, additional_models=[(path, given)])
            with pytest.raises(CompileError, match=f"model_lib {given}.*{why}"):
                answer(checkpoint, config)
