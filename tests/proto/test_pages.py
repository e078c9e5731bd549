"""How many pages a sequence takes, and who finds them."""

from itertools import product

from raylax.proto.pages import NAME_BYTES, ROOT, names_of, pages_for, root_of

TOKENS = range(48)


def test_the_last_page_may_be_part_full() -> None:
    assert [pages_for(n) for n in (0, 1, 16, 17, 32)] == [0, 1, 1, 2, 2]


def test_tenants_and_salts_have_pages_of_their_own() -> None:
    """Whatever they are called: no tenant's name with a salt reads like another's. Those without
    either share with everybody."""
    tenants, salts = ("", "a", "ab", "1:a", "a:"), ("", "a", "b", ":a", "1:a", "\ud800")
    pairs = [*product(tenants, salts)]
    roots = [root_of(*pair) for pair in pairs]
    names = [name for root in roots for name in names_of(TOKENS, root)]

    assert root_of("", "") == ROOT
    assert len(set(roots)) == len(pairs)
    assert len(set(names)) == 3 * len(pairs)
    assert {len(name) for name in names} == {NAME_BYTES}
    assert [*names_of(TOKENS)] == names[:3]
