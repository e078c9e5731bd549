"""How many pages a sequence takes."""

from raylax.proto.pages import pages_for


def test_the_last_page_may_be_part_full() -> None:
    assert [pages_for(n) for n in (0, 1, 16, 17, 32)] == [0, 1, 1, 2, 2]
