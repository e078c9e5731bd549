"""The same sizes by PyTorch, where it is installed: cuBLAS's products, its attention, and decodes of
a model with a static cache by CUDA graphs. Only a yardstick: nothing here is checked."""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from floor import Floor, rounded
from machine import ROUNDS, Machine, Timing
from part import Part

from parts import attention_times, product_times, step_times
from raylax.kernels.spec import DecoderSpec

DTYPE = "bfloat16"


def run(part: Part, machine: Machine) -> None:
    try:
        import torch
    except ImportError:
        part.tell("torch", {"version": None})
        return
    where = "cuda" if torch.cuda.is_available() else "cpu"
    if where == "cpu" and not machine.small:
        part.tell("torch", {"version": torch.__version__, "cuda": None})
        return
    part.tell("torch", {"version": torch.__version__, "cuda": torch.version.cuda})
    machine.stream.wait()
    measure(part, Torch(torch, where, machine.small), machine.kit.timed, machine.chip)


def measure(part: Part, one: "Torch", spec: DecoderSpec, chip: int) -> None:
    """Under the names of our own figures, with `torch` before them."""
    floor, small = Floor.of(part.so_far), one.small
    sizes = step_times.SMALL if small else step_times.FULL
    for batch in sizes.batches:
        name = f"decode {batch} q0bf16"
        part.figure(
            f"torch {name}",
            lambda b=batch, n=name: beside(part, n, "tok_s", one.decode(spec, b, sizes.keys)),
            8.0,
        )
    for timed in product_times.matrices(spec, chip):
        for tokens in product_times.SMALL_BATCHES if small else product_times.BATCHES:
            name = f"{timed.kind} {timed.name} bf16 {tokens}"

            def product(
                rows: int = timed.rows,
                depth: int = timed.matrix.depth,
                tokens: int = tokens,
                name: str = name,
            ) -> dict[str, Any]:
                moved = 2.0 * (rows * depth + tokens * depth + tokens * rows)
                told = floor.told(
                    one.product(rows, depth, tokens), moved, 2.0 * tokens * rows * depth
                )
                return beside(part, name, "us", told)

            part.figure(f"torch {name}", product, 1.0)
    for name, (lengths, before) in (
        attention_times.SMALL_LOADS if small else attention_times.LOADS
    ).items():

        def attention(
            lengths: list[int] = lengths, before: list[int] = before, name: str = name
        ) -> dict[str, Any]:
            took = one.attention(spec, len(lengths), lengths[0], before[0])
            return beside(part, f"attention {name}", "us", {"us": rounded(took.median * 1e6)})

        part.figure(f"torch attention {name}", attention, 2.0)


def beside(part: Part, name: str, unit: str, told: dict[str, Any]) -> dict[str, Any]:
    """With how many times as fast ours is."""
    ours = part.so_far["figures"].get(name, {}).get(unit)
    if ours is None:
        return told
    ratio = ours / told[unit] if unit == "tok_s" else told[unit] / ours
    return told | {"ours": ours, "ours_times_as_fast": rounded(ratio)}


class Torch:
    """PyTorch on a device."""

    def __init__(self, torch: Any, where: str, small: bool) -> None:
        self.torch, self.where, self.small = torch, where, small
        self.functional = torch.nn.functional
        torch.set_grad_enabled(False)

    def random(self, *shape: int, scale: float = 1.0) -> Any:
        return self.torch.randn(shape, device=self.where, dtype=getattr(self.torch, DTYPE)) * scale

    def product(self, rows: int, depth: int, tokens: int) -> Timing:
        """x @ w.T over weights that no cache holds."""
        count = 1 if self.small else max(2, int(product_times.COLD // (2 * rows * depth)) + 1)
        weights, x = [self.random(rows, depth) for _ in range(count)], self.random(tokens, depth)
        return self.time(lambda: [self.functional.linear(x, w) for w in weights] and None, count)

    def attention(self, s: DecoderSpec, sequences: int, new: int, before: int) -> Timing:
        """Of sequences of one length; keys of decodes are where they are, not in pages."""
        q = self.random(sequences, s.heads, new, s.head_dim)
        k, v = (self.random(sequences, s.kv_heads, before + new, s.head_dim) for _ in range(2))

        def once() -> None:
            self.functional.scaled_dot_product_attention(
                q, k, v, is_causal=new > 1, enable_gqa=True
            )

        return self.time(once, 1)

    def decode(self, s: DecoderSpec, batch: int, keys: int) -> dict[str, Any]:
        """Steps of a plain model with a static cache, replayed as a graph."""
        step = Decoder(self, s, batch, keys).step
        took = self.time(step, 1)
        return {"tok_s": rounded(batch / took.median), "ms": rounded(took.median * 1e3)}

    def time(self, work: Callable[[], None], times: int) -> Timing:
        """Of `work`, which does something so many times: by a graph, where there are graphs."""
        run = self.graph_of(work) if self.where == "cuda" else work
        took = [one / times for one in self.rounds(run)]
        return Timing(median(took), max(took) / min(took) - 1)

    def graph_of(self, work: Callable[[], None]) -> Callable[[], None]:
        torch = self.torch
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(2):
                work()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        graph.replay()
        replay: Callable[[], None] = graph.replay
        return replay

    def rounds(self, run: Callable[[], None]) -> Iterator[float]:
        """Seconds of each."""
        for _ in range(1 if self.small else ROUNDS):
            if self.where == "cpu":
                began = time.perf_counter()
                run()
                yield time.perf_counter() - began
                continue
            begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            run()
            end.record()
            end.synchronize()
            yield begin.elapsed_time(end) / 1e3


class Decoder:
    """A decoder in a few lines, as one writes it first."""

    def __init__(self, one: Torch, s: DecoderSpec, batch: int, keys: int) -> None:
        self.one, self.spec, self.batch = one, s, batch
        rows = (
            (s.qkv_rows, s.hidden),
            (s.hidden, s.heads * s.head_dim),
            (2 * s.intermediate, s.hidden),
            (s.hidden, s.intermediate),
        )
        self.layers = [[one.random(*shape, scale=0.02) for shape in rows] for _ in range(s.layers)]
        self.cache = [one.random(2, batch, s.kv_heads, keys, s.head_dim) for _ in range(s.layers)]
        self.embedding, self.head = (one.random(s.vocab, s.hidden, scale=0.02) for _ in range(2))
        self.ids = one.torch.zeros(batch, dtype=one.torch.int64, device=one.where)
        self.norm = one.torch.ones(s.hidden, dtype=self.head.dtype, device=one.where)
        self.cos, self.sin = (one.random(s.head_dim) for _ in range(2))

    def step(self) -> None:
        """A token of each sequence at the cache's last place."""
        torch, f, s = self.one.torch, self.one.functional, self.spec
        x = self.embedding[self.ids]
        for (qkv, o, gate_up, down), cache in zip(self.layers, self.cache, strict=True):
            heads = f.linear(f.rms_norm(x, (s.hidden,), self.norm, s.norm_eps), qkv).view(
                self.batch, -1, 1, s.head_dim
            )
            q, k, v = heads.split([s.heads, s.kv_heads, s.kv_heads], 1)
            cache[0, :, :, -1:], cache[1, :, :, -1:] = self.turned(k), v
            seen = f.scaled_dot_product_attention(
                self.turned(q), cache[0], cache[1], enable_gqa=True
            )
            x = x + f.linear(seen.reshape(self.batch, -1), o)
            gate, up = f.linear(f.rms_norm(x, (s.hidden,), self.norm, s.norm_eps), gate_up).chunk(
                2, -1
            )
            x = x + f.linear(f.silu(gate) * up, down)
        self.ids.copy_(
            torch.argmax(f.linear(f.rms_norm(x, (s.hidden,), self.norm, s.norm_eps), self.head), -1)
        )

    def turned(self, x: Any) -> Any:
        """By the rotation of the position."""
        low, high = x.chunk(2, -1)
        return x * self.cos + self.one.torch.cat([-high, low], -1) * self.sin
