"""What the rows of a step cost."""

import pytest

from raylax.worker.speculation.row_cost import IN_TILE, rows_seconds


@pytest.mark.parametrize("tile", [1, 4, 8])
def test_a_whole_tile_costs_its_rows(tile: int) -> None:
    assert rows_seconds(2.0, 3 * tile, tile) == pytest.approx(6.0 * tile)


def test_a_row_that_begins_a_tile_costs_the_most() -> None:
    costs = [rows_seconds(1.0, rows, 4) for rows in range(9)]
    more = [after - before for before, after in zip(costs, costs[1:], strict=False)]

    assert more == pytest.approx([IN_TILE + 4 * (1 - IN_TILE), *[IN_TILE] * 3] * 2)
