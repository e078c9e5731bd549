"""A captured graph reads its inputs again at every replay, and gives what its launches give."""

import numpy as np
from machine import Machine
from part import Part, hold

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.cuda.device.memory import write
from raylax.kernels.cuda.variants import pointwise

ROWS, EPS = 2, 1e-5


def run(part: Part, machine: Machine) -> None:
    part.check("graphs", lambda: replays(machine))
    machine.forget()


def replays(machine: Machine) -> str:
    width = machine.kit.demo.hidden
    first, second = machine.rng.standard_normal((2, ROWS, width), np.float32)
    hidden, y = machine.put(first), machine.room(ROWS * width * 2)
    kernel = machine.kernel(pointwise.add_norm("bf16", width, 0))
    weight = machine.put(to_bf16(machine.rng.standard_normal(width, np.float32)))
    launch = kernel.launch((ROWS,), hidden, 0, 0, weight, y, ROWS, width, EPS)
    machine.run(launch)  # which loads its code
    graph = machine.stream.capture(lambda: machine.run(launch))
    seen = []
    for values in (first, second):
        write(hidden, values, machine.stream.address)
        machine.run(launch)
        eager = machine.get(y, (ROWS, width), np.uint16)
        write(y, np.zeros_like(eager), machine.stream.address)
        graph.replay(machine.stream)
        seen.append(machine.get(y, (ROWS, width), np.uint16))
        hold(np.array_equal(seen[-1], eager), "a replay gives other bits than its launches")
    hold(not np.array_equal(*seen), "a replay did not read its input again")
    return "replayed over other inputs"
