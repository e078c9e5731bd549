"""The places of a router: who gets one, and what the others are told."""

import pytest

from raylax.proto.errors import InvalidRequest, Overloaded
from raylax.router.access.places import Places


def test_a_place_is_taken_while_a_request_is_on_its_way() -> None:
    places = Places(3)
    with places.taken("bob", 2):
        assert len(places) == 2

    assert len(places) == 0


def test_it_is_free_again_whatever_became_of_the_request() -> None:
    places = Places(3)
    with pytest.raises(ZeroDivisionError), places.taken("bob", 2):
        raise ZeroDivisionError

    assert len(places) == 0


def test_who_has_filled_the_router_is_told_to_come_back() -> None:
    """A place that was asked for in vain is none that is given back."""
    places = Places(8)
    with places.taken("bob", 6):
        with pytest.raises(Overloaded) as told, places.taken("bob", 3):
            pass

        assert told.value.message == (
            "a router carries at most 8 requests at once, there is room for 2 more of yours and 3 "
            "were asked for"
        )
        assert told.value.retry_after_s == 1
        assert len(places) == 6


def test_another_has_its_part_all_the_same() -> None:
    places = Places(8)
    with places.taken("bob", 8), places.taken("alice", 4):
        with pytest.raises(Overloaded):
            places.check("alice", 1)
        with pytest.raises(Overloaded):
            places.check("bob", 1)
        places.check("carol", 2)


def test_a_call_that_never_fits_is_not_told_to_come_back() -> None:
    with pytest.raises(InvalidRequest, match="at most 8 requests at once, this call comes to 9"):
        Places(8).check("bob", 9)
