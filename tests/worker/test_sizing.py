"""How large an engine may be: a table, and the arithmetic of what does not fit."""

from dataclasses import replace
from typing import Any

import pytest

from raylax.worker.config import EngineConfig, Mode, Sizes, SpeculativeMode
from raylax.worker.errors import ConfigError
from raylax.worker.sizing import MIB, ON_GPU, Memory, infer

PAGE = MIB // 4


def memory(pages: int = 10_000, most_pages: int = 1 << 20, positions: int = 4096) -> Memory:
    """Room for so many pages at the default share of 0.4."""
    weights, workspace = 100 * MIB, 20 * MIB
    return Memory(weights + workspace + PAGE * pages * 5 // 2, weights, workspace, PAGE,
                  most_pages, positions)  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "given", "room", "want"),
    [
        ("local", {}, memory(), Sizes(4, 4096, 8192, 512, 512)),
        ("interactive", {}, memory(), Sizes(1, 4096, 4096, 512, 256)),
        ("server", {}, memory(), Sizes(64, 4096, 160_000, 512, 10_000)),
        ("server", {}, memory(most_pages=300), Sizes(37, 4096, 4800, 512, 300)),
        ("server", {}, memory(10), Sizes(1, 160, 160, 160, 10)),
        ("server", {}, memory(16), Sizes(2, 256, 256, 256, 16)),
        ("server", {}, memory(100), Sizes(12, 1600, 1600, 512, 100)),
        ("server", {}, memory(511), Sizes(63, 4096, 8176, 512, 511)),
        ("server", {}, memory(512), Sizes(64, 4096, 8192, 512, 512)),
        ("server", {"max_num_sequence": 10}, memory(10), Sizes(10, 160, 160, 160, 10)),
        ("local", {}, memory(positions=300), Sizes(4, 300, 1200, 512, 75)),
        ("server", {"max_num_sequence": 3}, memory(), Sizes(3, 4096, 12288, 512, 768)),
        ("server", {"max_num_sequence": 700}, memory(), Sizes(700, 4096, 160_000, 700, 10_000)),
        ("local", {"prefill_chunk_size": 64}, memory(), Sizes(4, 4096, 8192, 64, 512)),
        ("server", {"prefill_chunk_size": 16}, memory(), Sizes(64, 4096, 160_000, 64, 10_000)),
        ("local", {"max_single_sequence_length": 100}, memory(), Sizes(4, 100, 400, 400, 25)),
        ("local", {"max_total_sequence_length": 100}, memory(), Sizes(4, 100, 100, 100, 7)),
        ("server", {"kv_cache_bytes": 20 * PAGE, "gpu_memory_utilization": 0.1}, memory(),
         Sizes(2, 320, 320, 320, 20)),
        ("server", {"gpu_memory_utilization": 0.8}, memory(),
         Sizes(64, 4096, 262_144, 512, 16_384)),
    ],
)  # fmt: skip
def test_sizes(mode: Mode, given: dict[str, Any], room: Memory, want: Sizes) -> None:
    assert infer(EngineConfig(**given), mode, room) == replace(want, drafted=16)


@pytest.mark.parametrize(
    ("mode", "given", "want"),
    [
        ("server", {}, Sizes(256, 4096, 400_000, 2048, 25_000)),
        ("server", {"gpu_memory_utilization": 0.4}, Sizes(256, 4096, 400_000, 2048, 25_000)),
        ("server", {"max_total_sequence_length": 5000}, Sizes(39, 4096, 5000, 2048, 313)),
        ("local", {}, Sizes(4, 4096, 8192, 2048, 512)),
    ],
)
def test_sizes_on_a_gpu(mode: Mode, given: dict[str, Any], want: Sizes) -> None:
    """A server's pages fill what there is, whatever its sequences could come to; how much there is
    has been found by `gpu_memory_utilization` before."""
    room = replace(memory(positions=4096), usual=ON_GPU)

    assert infer(EngineConfig(**given), mode, room) == replace(want, drafted=16)


@pytest.mark.parametrize(
    ("mode", "drafted"), [("ngram", 16), ("eagle", 16), ("medusa", 16), ("disable", 0)]
)
def test_steps_have_room_for_drafts_where_there_are_any(
    mode: SpeculativeMode, drafted: int
) -> None:
    room = replace(memory(positions=4096), usual=ON_GPU)

    assert infer(EngineConfig(speculative_mode=mode), "server", room).drafted == drafted


@pytest.mark.parametrize("pages", [2, 3, 40, 255, 256, 257, 5000])
@pytest.mark.parametrize("mode", ["local", "interactive", "server"])
def test_every_sequence_fits_alone(pages: int, mode: Mode) -> None:
    """Or it could wait for ever."""
    sizes = infer(EngineConfig(), mode, memory(pages))

    assert sizes.max_single_sequence_length <= sizes.pages * 16
    assert sizes.pages <= pages
    assert sizes.prefill_chunk_size >= sizes.max_num_sequence
    again = EngineConfig(
        max_num_sequence=sizes.max_num_sequence,
        max_total_sequence_length=sizes.max_total_sequence_length,
        max_single_sequence_length=sizes.max_single_sequence_length,
        prefill_chunk_size=sizes.prefill_chunk_size,
    )
    assert infer(again, mode, memory(pages)) == sizes, "what it comes to can be asked for"


def test_too_little_for_one_sequence_says_how_much_is_needed() -> None:
    """With the terms of the sum: 1,000 tokens are 63 pages of a quarter MiB."""
    with pytest.raises(ConfigError) as caught:
        infer(EngineConfig(max_single_sequence_length=1000), "local", memory(20))

    assert str(caught.value) == (
        "KV memory: one sequence of 1000 tokens needs 15.8 MiB, there is room for 320 tokens "
        "(132 MiB free, weights 100 MiB, workspace 20 MiB); ask for shorter sequences, raise "
        "gpu_memory_utilization or free memory"
    )


@pytest.mark.parametrize(
    ("given", "room", "said"),
    [
        ({}, memory(0), "one sequence of 32 tokens needs 0.5 MiB, there is room for 0 tokens"),
        ({}, Memory(MIB, 100 * MIB, MIB, PAGE, 99, 512),
         "the model is too large: its weights take 100 MiB, and there are 1 MiB; ask for a sma"),
        ({}, Memory(101 * MIB, 100 * MIB, 2 * MIB, PAGE, 99, 512), "room for 0 tokens (101 MiB fr"),
        ({"max_total_sequence_length": 24_000}, memory(500),
         "max_total_sequence_length of 24000 tokens needs 375.0 MiB, there is room for 20000"),
        ({"kv_cache_bytes": 26 * PAGE}, memory(10), "kv_cache_bytes must be at most 6553600, what "
         "126 MiB free, weights 100 MiB, workspace 20 MiB leave; found 6815744"),
        ({"prefill_chunk_size": 10**6}, Memory(300 * MIB, 100 * MIB, 900 * MIB, PAGE, 99, 512),
         "the steps are too large: the workspace of 1000000 tokens and 20 sequences takes 900 MiB, "
         "beside 100 MiB of weights, and there are 300 MiB; ask for a smaller prefill_chunk_size"),
        ({"max_num_sequence": 700}, memory(600),
         "max_num_sequence of 700 needs a page of 16 tokens for each, 175.0 MiB, and there is room "
         "for 600 (495 MiB free, weights 100 MiB, workspace 20 MiB); ask for fewer, raise gpu_mem"),
        ({"max_single_sequence_length": 5000}, memory(), "at most the model's 4096 positions"),
        ({"max_single_sequence_length": 500, "max_total_sequence_length": 400}, memory(),
         "must hold one sequence of 500 tokens (max_single_sequence_length), found 400"),
        ({"max_single_sequence_length": 1}, memory(), "single_sequence_length must be at least 2"),
        ({"max_total_sequence_length": 1}, memory(), "total_sequence_length must be at least 2,"),
    ],
)  # fmt: skip
def test_what_cannot_be(given: dict[str, Any], room: Memory, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        infer(EngineConfig(**given), "local", room)

    assert said in str(caught.value)
