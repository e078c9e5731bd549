"""What the rows of a step cost."""

import pytest

from raylax.worker.speculation.row_cost import IN_TILE, weighed_rows


@pytest.mark.parametrize("tile", [1, 4, 8])
def test_the_rows_of_a_tile_weigh_as_much_as_they_are(tile: int) -> None:
    rows = range(2 * tile + 1, 3 * tile + 1)
    assert sum(weighed_rows(count, tile) for count in rows) == pytest.approx(sum(rows))


def test_a_row_that_begins_a_tile_weighs_the_most() -> None:
    weights = [weighed_rows(rows, 4) for rows in range(1, 9)]
    more = [after - before for before, after in zip(weights, weights[1:], strict=False)]

    assert more == pytest.approx([*[IN_TILE] * 3, IN_TILE + 4 * (1 - IN_TILE), *[IN_TILE] * 3])
