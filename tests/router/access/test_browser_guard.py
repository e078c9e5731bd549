"""Which Hosts and Origins are accepted where nobody has a key."""

from collections.abc import Callable

import pytest

from raylax.proto.errors import Forbidden, InvalidRequest, RaylaxError, UnsupportedMediaType
from raylax.router.access.browser_guard import BrowserGuard, require_json

PAGE = "https://chat.example.org"
LOCAL = ("localhost", "localhost:8000", "LocalHost:1", "localhost.", "127.0.0.1:8000", "127.9.9.9",
         "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "localhost:")  # fmt: skip
FOREIGN = ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
           "evil.example.", "localhost@evil.example", "evil.example#localhost", "localhost/x",
           "localhost evil.example", "localhost,evil.example", "localhost:8000:80", "localhost..",
           "localhost:x", "::1", "[::1", "", ":8000", "127.0.0.1:8000\tevil", "null", "*",
           "x.localhost")  # fmt: skip


def headers(**given: str | list[str]) -> Callable[[str], list[str]]:
    """Underscores stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in given.items()}
    lists = {name: [value] if isinstance(value, str) else value for name, value in named.items()}
    return lambda name: lists.get(name, [])


def guard(host: str = "127.0.0.1", *names: str, origins: tuple[str, ...] = ()) -> BrowserGuard:
    return BrowserGuard(host, names, origins, hostname=lambda: "Box")


def refusal(of: BrowserGuard, http_version: str = "1.1", **given: str | list[str]) -> str:
    """The header that is refused; empty: none is."""
    try:
        of.check(headers(**given), http_version)
    except RaylaxError as error:
        assert error.param is not None
        return error.param
    return ""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::", "10.0.0.5", "box.lan"])
@pytest.mark.parametrize("asked", LOCAL)
def test_this_machine_s_own_names_are_always_accepted(host: str, asked: str) -> None:
    """At any port: somebody may forward one."""
    assert refusal(guard(host), host=asked) == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "10.0.0.5"])
@pytest.mark.parametrize("asked", FOREIGN)
def test_a_foreign_name_never_is(host: str, asked: str) -> None:
    """A page may make a name of its own mean this machine."""
    assert refusal(guard(host), host=asked) == "Host"


@pytest.mark.parametrize(
    ("host", "asked", "accepted"),
    [
        ("127.0.0.1", "10.0.0.5:8000", False),
        ("127.0.0.1", "box", False),
        ("127.0.0.1", "0.0.0.0:8000", False),
        ("10.0.0.5", "10.0.0.5:8000", True),
        ("10.0.0.5", "10.0.0.6:8000", False),
        ("10.0.0.5", "box:8000", True),
        ("0.0.0.0", "10.0.0.6:8000", True),
        ("0.0.0.0", "[fe80::1]:8000", True),
        ("0.0.0.0", "BOX", True),
        ("0.0.0.0", "other", False),
        ("::", "10.0.0.6", True),
        ("", "10.0.0.6", True),
        ("fe80::1", "[FE80:0::1]:8000", True),
        ("gpu.lan", "GPU.lan.:8000", True),
        ("gpu.lan", "gpu2.lan", False),
    ],
)
def test_what_is_listened_on_is_accepted(host: str, asked: str, accepted: bool) -> None:
    """On all addresses, any address: only names can be made to mean something else."""
    assert (refusal(guard(host), host=asked) == "") == accepted


def test_further_names_are_those_of_the_configuration() -> None:
    of = guard("127.0.0.1", "Chat.Lan", "[fe80::2]", "10.0.0.9")
    asked = ("chat.lan", "chat.lan:80", "[fe80::2]:1", "10.0.0.9", "sub.chat.lan", "10.0.0.8")

    assert [refusal(of, host=one) for one in asked] == ["", "", "", "", "Host", "Host"]
    assert refusal(guard("127.0.0.1", "*"), host="evil.example") == ""


def test_a_host_that_can_be_read_in_two_ways_is_a_mistake() -> None:
    """And so is none, but in the old protocol, which no browser speaks."""
    of = guard()
    with pytest.raises(InvalidRequest, match="once, found 2"):
        of.check(headers(host=["localhost", "evil.example"]), "1.1")
    with pytest.raises(InvalidRequest, match="once, found 0"):
        of.check(headers(), "1.1")

    assert refusal(of, "1.0") == ""
    assert refusal(of, "1.0", host="evil.example") == "Host"


def test_what_a_proxy_adds_is_not_looked_at() -> None:
    """A page may write it."""
    of = guard()

    assert refusal(of, host="evil.example", x_forwarded_host="localhost") == "Host"
    assert refusal(of, host="localhost", x_forwarded_host="evil.example") == ""


@pytest.mark.parametrize(
    ("origin", "host", "accepted"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("HTTP://LocalHost:8000", "localhost.:8000", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://localhost", "localhost", True),
        ("https://localhost", "localhost:443", True),
        ("http://localhost:3000", "localhost:8000", False),
        ("http://127.0.0.1:8000", "localhost:8000", False),
        ("https://evil.example", "localhost:8000", False),
        ("http://localhost:8000.evil.example", "localhost:8000", False),
        ("http://localhost:8000@evil.example", "localhost:8000", False),
        ("http://localhost:8000/evil", "localhost:8000", False),
        ("null", "localhost:8000", False),
        ("", "localhost:8000", False),
        ("file://", "localhost:8000", False),
        ("chrome-extension://abc", "localhost:8000", False),
        ("http://localhost:99999", "localhost:8000", False),
        (PAGE, "localhost:8000", True),
        (f"{PAGE}.evil.example", "localhost:8000", False),
    ],
)
def test_a_page_may_ask_where_it_came_from_or_if_it_is_named(
    origin: str, host: str, accepted: bool
) -> None:
    of = guard(origins=(PAGE,))

    assert refusal(of, host=host, origin=origin) == ("" if accepted else "Origin")


def test_other_sites_may_not_ask_even_without_an_origin() -> None:
    """As for a picture: the browser says so by another header."""
    of = guard(origins=(PAGE,))
    sites = ("cross-site", "Cross-Site", "same-origin", "same-site", "none")
    found = [refusal(of, host="localhost", sec_fetch_site=site) for site in sites]

    assert found == ["Sec-Fetch-Site", "Sec-Fetch-Site", "", "", ""]
    assert refusal(of, host="localhost", sec_fetch_site="cross-site", origin=PAGE) == ""
    for page in (PAGE, "http://localhost"):
        assert refusal(of, host="localhost", origin=[page, "https://evil.example"]) == "Origin"
    assert refusal(guard(origins=("*",)), host="localhost", origin="null") == ""
    assert refusal(guard(origins=("*",)), host="evil.example", origin="null") == "Host"


def test_a_refusal_says_the_rule_what_was_found_and_what_to_do() -> None:
    with pytest.raises(Forbidden, match="found 'evil.example'.*allowed_hosts"):
        guard().check(headers(host="evil.example"), "1.1")
    with pytest.raises(Forbidden, match="found 'https://evil.example'.*cors_origins"):
        guard().check(headers(host="localhost", origin="https://evil.example"), "1.1")


@pytest.mark.parametrize(
    ("kinds", "accepted"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ([], False),
        ("", False),
        ("text/plain", False),
        ("text/plain; application/json", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=application/json", False),
        (["text/plain", "application/json"], False),
    ],
)
def test_json_is_what_no_page_sends_unasked(kinds: str | list[str], accepted: bool) -> None:
    if accepted:
        require_json(headers(content_type=kinds))
    else:
        with pytest.raises(UnsupportedMediaType, match="wants a JSON body"):
            require_json(headers(content_type=kinds))
