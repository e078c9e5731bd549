"""Templates that never end, or allocate for ever, and patterns that backtrack: the call gets its
400, in time, and all others go on. With real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from raylax.proto.calls.prompt_work import ListWork, TextsWork
from raylax.proto.errors import InvalidRequest, PromptTooLong
from raylax.proto.frontend import Frontend
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.writing import grammar_of
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.warnings import collect_warnings
from raylax.router.prompts.errors import ModelAtFault, NotLoaded
from raylax.router.prompts.limits import PromptLimits
from raylax.router.prompts.pool import SMALL_BYTES, Asker, PromptPool
from tests.support.prompt_models import (
    BACKTRACKS,
    BACKTRACKS_LONG,
    ENDLESS,
    GREEDY,
    PATTERN,
    write_trapped,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
TIMEOUT_S = 0.5
LATE_S = 20.0
"""A machine that others use is not late for everything by more."""
LIMITS = PromptLimits(timeout_s=TIMEOUT_S, memory_bytes=256 << 20)
ME = Asker("me", 1.0, 100)


class Rig:
    """A pool for one trapped model, and the same model here."""

    def __init__(self, directory: Path, pool: PromptPool) -> None:
        self.pool = pool
        self.frontend = Frontend.load(TextFiles(directory), "tiny", 4096)

    async def chat(self, text: str, asker: Asker = ME, **fields: Any) -> Sequence[int]:
        body = {"messages": [{"role": "user", "content": text}], **fields}
        work = self.frontend.chat_work(ChatCompletionRequest.model_validate(body))
        (ids,) = await self.pool.ids("tiny", work, asker)
        return ids


@asynccontextmanager
async def a_pool(directory: Path, limits: PromptLimits = LIMITS) -> AsyncIterator[Rig]:
    pool = PromptPool({"tiny": str(directory)}, limits)
    try:
        await pool.start()
        yield Rig(directory, pool)
    finally:
        await pool.close()


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trapped(tmp_path_factory.mktemp("trapped"), pattern=PATTERN)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(trapped: Path) -> AsyncIterator[Rig]:
    async with a_pool(trapped) as made:
        yield made


async def test_prompts_are_those_that_are_made_here(rig: Rig) -> None:
    for text in ("hi", "", "x" * 200_000):
        body = ChatCompletionRequest.model_validate(
            {"messages": [{"role": "user", "content": f"{text}!"}], "add_special_tokens": True}
        )
        work = rig.frontend.chat_work(body, bounded=False)
        (ids,) = await rig.pool.ids("tiny", work, Asker("me", 1.0, len(text)))
        assert list(ids) == rig.frontend.tokens_of(body)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENDLESS, r"messages: the chat template of tiny may take 0\.5 s of CPU .* it takes longer"),
        (GREEDY, r"messages: the chat template of tiny .* 268435456 bytes"),
        (BACKTRACKS, "messages: the tokenizer of tiny fails"),
        (
            BACKTRACKS_LONG,
            r"messages: the tokenizer of tiny may take 0\.5 s of CPU .* it takes longer",
        ),
    ],
    ids=["endless", "greedy", "backtracks", "backtracks for long"],
)
async def test_what_does_not_end_is_ended(rig: Rig, text: str, said: str) -> None:
    """Its own call says whose fault it is; others are answered meanwhile, and afterwards."""
    begun = time.monotonic()
    bad = [asyncio.create_task(rig.chat(text)) for _ in range(2)]
    good = await asyncio.gather(*(rig.chat(f"good {i}", Asker("you", 1.0, 10)) for i in range(9)))
    others_s = time.monotonic() - begun
    failures = await asyncio.gather(*bad, return_exceptions=True)

    assert [len(ids) for ids in good] == [6] * 9
    assert others_s < LATE_S
    for failure in failures:
        with pytest.raises(ModelAtFault, match=said) as caught:
            raise failure if isinstance(failure, Exception) else AssertionError(failure)
        assert (caught.value.http_status, caught.value.param) == (400, "messages")
    assert len(await rig.chat("good")) == 4


async def test_small_work_waits_for_no_slow_work(rig: Rig) -> None:
    """While what never ends has its time, small prompts of the same tenant are made."""
    begun = time.monotonic()
    bad = asyncio.create_task(rig.chat(ENDLESS))
    made = 0
    while not bad.done() and time.monotonic() - begun < LATE_S:
        made += len(await rig.chat("good")) == 4
        await asyncio.sleep(0.01)
    with pytest.raises(ModelAtFault):
        await bad

    assert made > 1


async def test_a_process_that_somebody_ends_is_replaced(rig: Rig) -> None:
    """Whoever it is, the prompt is made; so is the next one without the process that forks."""
    for _ in range(2):
        before = set(rig.pool.pids)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert len(await rig.chat("good")) == 4
        assert not before & set(rig.pool.pids)


async def test_a_process_that_is_stopped_is_replaced(rig: Rig) -> None:
    processes = rig.pool.pids[:-1]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    assert len(await rig.chat("good")) == 4


async def test_what_a_client_does_not_wait_for_is_ended(rig: Rig) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await rig.chat(ENDLESS)
    assert len(await rig.chat("good")) == 4


async def test_a_process_is_new_after_slow_work(rig: Rig) -> None:
    """It may have taken memory, which others are to have."""
    before = set(rig.pool.pids)
    await rig.chat("good", Asker("me", 1.0, SMALL_BYTES + 1))
    await rig.chat("good")

    assert len(before - set(rig.pool.pids)) == 1


async def test_what_takes_too_much_memory_is_not_tried_again(rig: Rig) -> None:
    """The tokenizer's library aborts; that it was not killed by somebody can be seen."""
    before = set(rig.pool.pids)
    with pytest.raises(ModelAtFault, match="the tokenizer of tiny .* 268435456 bytes"):
        work = TextsWork(["x" * (4 << 20)], False, "prompt", None)
        await rig.pool.ids("tiny", work, Asker("me", 1.0, 4 << 20))
    await rig.chat("good")

    assert len(before - set(rig.pool.pids)) == 1


async def test_refusals_and_warnings_are_those_of_here(rig: Rig) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    warnings = collect_warnings()
    await rig.chat("good", tools=[tool])
    assert ["shows no tools" in said for said in warnings.said] == [True]
    with pytest.raises(InvalidRequest, match="must name one of the model's own") as caught:
        await rig.chat("good", chat_template="other")
    assert caught.value.param == "chat_template"
    with pytest.raises(PromptTooLong, match="messages: the prompt has 5000 tokens, the limit is"):
        await rig.chat("x" * 5000)


async def test_a_list_of_tokens_has_an_end(rig: Rig) -> None:
    work = TextsWork(["x" * 100_000], False, "prompt", None)
    listed, count = await rig.pool.token_list("tiny", ListWork(work, 256, True, 1 << 20), ME)
    assert (len(listed) > 600_000, count) == (True, 100_000)
    with pytest.raises(InvalidRequest, match="may have 500000 bytes"):
        await rig.pool.token_list("tiny", ListWork(work, 256, True, 500_000), ME)


async def test_grammars_are_checked_aside_and_kept(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with one is said each time; one that is right is made once."""
    right = Constraint("json_schema", {"type": "object"}, "response_format")
    wrong = right._replace(value={"type": "x"})
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="^response_format: Invalid type: x"):
            await rig.pool.grammar("tiny", wrong, ME)
    made = await rig.pool.grammar("tiny", right, ME)
    asked = list[object]()
    monkeypatch.setattr(rig.pool, "_answer", asked.append)

    assert await rig.pool.grammar("tiny", right, ME) == made == grammar_of(right)
    assert asked == []


async def test_models_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotLoaded, match=r"config\.json|tokenizer\.json"):
        async with a_pool(tmp_path):
            pass


SCRIPT = """
import asyncio, signal, sys
from raylax.router.prompts.limits import PromptLimits
from raylax.router.prompts.pool import Asker, PromptPool
from tests.router.prompts.test_pool import LIMITS, Rig
from pathlib import Path

async def main():
    pool = PromptPool({"tiny": sys.argv[1]}, PromptLimits(timeout_s=600))
    await pool.start()
    rig = Rig(Path(sys.argv[1]), pool)
    bad = asyncio.create_task(rig.chat("loop"))
    await asyncio.sleep(0.5)
    await rig.chat("good")
    print(*pool.pids, flush=True)
    await bad

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background has none
asyncio.run(main())
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
async def test_nothing_is_left_of_a_router_that_ends(trapped: Path, blow: signal.Signals) -> None:
    """Not even a process that is busy for ever."""
    assert await asyncio.to_thread(left_after, trapped, blow) == []


def left_after(directory: Path, blow: signal.Signals) -> list[int]:
    """The pids of a router's processes that live on after its end."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as router:
        assert router.stdout is not None
        pids = [int(pid) for pid in router.stdout.readline().split()]
        assert len(pids) >= 2
        router.send_signal(blow)
        router.wait()
    deadline = time.monotonic() + LATE_S
    while (left := [*filter(is_running, pids)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
