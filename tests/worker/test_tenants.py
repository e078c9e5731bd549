"""What tenants have had: counters that only grow."""

from raylax.worker.tenants import REMEMBERED, Tenants


def test_charges_add_up() -> None:
    tenants = Tenants()
    tenants.charge("a", 5)
    tenants.charge("a", 2)

    assert (tenants["a"], tenants["b"]) == (7, 0)


def test_who_comes_back_is_lifted_but_never_lowered() -> None:
    tenants = Tenants()
    tenants.charge("a", 5)
    tenants.charge("b", 50)
    for tenant in "abc":
        tenants.lift(tenant, 20)

    assert [tenants[tenant] for tenant in "abc"] == [20, 50, 20]


def test_a_stream_of_tenants_is_not_kept_for_ever() -> None:
    """Those are forgotten who would be lifted above what they have had anyway."""
    tenants = Tenants()
    tenants.charge("greedy", 10**9)
    for i in range(5 * REMEMBERED):
        tenants.lift(f"t{i}", least=i)
        tenants.charge(f"t{i}", 1)

    assert len(tenants) <= REMEMBERED + 1
    assert tenants["greedy"] == 10**9
