"""Who knows the cluster's secret is shown a certificate, and believes one; nobody else does."""

import ssl
import subprocess
import sys

import pytest
import trustme

from raylax.proto.wire import cluster_tls
from raylax.proto.wire.cluster_tls import context_of, crosses_a_wire, identity_of
from raylax.proto.wire.tls_session import TlsSession, session_with

SECRET, OTHER = "the cluster's secret", "another one"


def another_process() -> None:
    """What follows is done by one that has made nothing yet."""
    identity_of.cache_clear()
    context_of.cache_clear()
    cluster_tls.own_key.cache_clear()


def talk(connector: TlsSession, acceptor: TlsSession) -> None:
    """Let each have what the other one says, until both are silent. Raises SSLError."""
    while (there := connector.outgoing()) + (back := acceptor.outgoing()):
        acceptor.incoming(there)
        connector.incoming(back)


@pytest.mark.parametrize("secret", [SECRET, b"bytes of an engine"])
def test_processes_that_know_the_secret_understand_each_other(secret: str | bytes) -> None:
    """Without a word before; what was said early comes first."""
    acceptor = TlsSession(secret, accepts=True)
    acceptor.write(b"first")
    another_process()
    connector = TlsSession(secret, accepts=False)
    talk(connector, acceptor)
    acceptor.write(b" and second")
    connector.write(large := bytes(range(256)) * 1000)
    talk(connector, acceptor)

    assert (connector.ready, acceptor.ready) == (True, True)
    assert connector.read() == b"first and second"
    assert acceptor.read() == large


@pytest.mark.parametrize("guesses", ["who connects", "who accepts"])
def test_another_secret_is_nobodys(guesses: str) -> None:
    """Neither end says a thing."""
    accepts, connects = (SECRET, OTHER) if guesses == "who connects" else (OTHER, SECRET)
    connector, acceptor = TlsSession(connects, accepts=False), TlsSession(accepts, accepts=True)
    acceptor.write(b"for friends")
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        talk(connector, acceptor)

    assert not connector.ready
    assert connector.read() == b""


@pytest.mark.parametrize("shows", ["nothing", "a certificate of its own"])
def test_who_shows_no_certificate_of_the_clusters_hears_nothing(shows: str) -> None:
    acceptor = TlsSession(SECRET, accepts=True)
    acceptor.write(b"for friends")
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    if shows != "nothing":
        trustme.CA().issue_cert(cluster_tls.NAME).configure_cert(anybody)
    come, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    stranger = anybody.wrap_bio(come, goes)
    with pytest.raises(ssl.SSLWantReadError):
        stranger.do_handshake()
    acceptor.incoming(goes.read())
    come.write(acceptor.outgoing())
    stranger.do_handshake()  # which is over for him
    with pytest.raises(ssl.SSLError, match="DID_NOT_RETURN_A_CERTIFICATE|VERIFY_FAILED"):
        acceptor.incoming(goes.read())
    come.write(acceptor.outgoing())

    assert not acceptor.ready
    with pytest.raises(ssl.SSLError, match="ALERT"):
        stranger.read(1)


def test_old_versions_are_not_spoken() -> None:
    for accepts in (False, True):
        assert context_of(SECRET, accepts).minimum_version == ssl.TLSVersion.TLSv1_3
        assert context_of(SECRET, accepts).verify_mode == ssl.CERT_REQUIRED


def test_the_key_is_not_shown_by_accident() -> None:
    assert "PRIVATE KEY" in identity_of(SECRET).key.decode()
    assert "PRIVATE KEY" not in repr(identity_of(SECRET))


@pytest.mark.parametrize(
    ("host", "wire"),
    [
        ("127.0.0.1", False),
        ("localhost", False),
        ("::1", False),
        ("127.0.0.2", True),
        ("10.1.2.3", True),
        ("fe80::1", True),
        ("node-7.example.org", True),
        ("", True),
        ("0.0.0.0", True),
    ],
)
def test_only_this_machines_own_address_needs_none(host: str, wire: bool) -> None:
    assert crosses_a_wire(host) == wire
    assert (session_with(host, SECRET, accepts=True) is not None) == wire


def test_one_machine_pays_nothing() -> None:
    """Not even the import of what makes certificates."""
    code = (
        "import sys; import raylax.proto.wire.frames, raylax.worker.ranks.control_channel; "
        "print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
