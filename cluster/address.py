"""Where a server is, as people write it; asking it, and what is said when nothing of ours comes."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from raylax.cluster.errors import UserError

API_KEY = "RAYLAX_API_KEY"
CLIENT_CERT, CLIENT_KEY = "RAYLAX_CLIENT_CERT", "RAYLAX_CLIENT_KEY"
TIMEOUT_S = 10.0
CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
"""How OpenSSL says that it does not trust a server."""
REFUSED = ("CERTIFICATE_REQUIRED", "ALERT_HANDSHAKE_FAILURE", "ALERT_UNKNOWN_CA", "ALERT_BAD_CERT",
           "ALERT_CERTIFICATE")  # fmt: skip
"""How it says that a server does not want us without a certificate, or with that one."""

NO_PATH = ": Not Found"
"""How raylax ends what it says of a path that it does not have."""


def base_of(url: str) -> str:
    """The server's address from what was typed or pasted: `127.0.0.1:8000`, `http://…/v1/`."""
    with_scheme = url if "://" in url else f"http://{url}"
    return with_scheme.rstrip("/").removesuffix("/v1")


def credentials() -> dict[str, str]:
    """Headers that show the key of the environment, if there is one. Raises UserError for what
    cannot be one."""
    key = os.environ.get(API_KEY, "").strip()
    if not key.isascii() or not key.isprintable():
        raise UserError(f"{API_KEY} must be a key's printable ASCII characters, on one line")
    return {"Authorization": f"Bearer {key}"} if key else {}


def shown() -> ssl.SSLContext | bool:
    """Whom to trust, and the certificate of the environment to show to a server that asks for one.
    Raises UserError for what is none."""
    if not (cert := os.environ.get(CLIENT_CERT)):
        return True
    context, key = httpx.create_ssl_context(), os.environ.get(CLIENT_KEY) or None
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        names = cert if key is None else f"{cert} with {CLIENT_KEY} {key}"
        raise UserError(
            f"{CLIENT_CERT} must name a certificate in PEM and {CLIENT_KEY} its key, unless that "
            f"is in the same file, found {names}: {error}"
        ) from None
    return context


def client_of(url: str, timeout: httpx.Timeout) -> httpx.Client:
    """A client that shows the environment's key and certificate. Raises UserError for what is no
    address."""
    verify = shown()
    with understood(url):
        return httpx.Client(
            base_url=base_of(url), timeout=timeout, headers=credentials(), verify=verify
        )


def ask(url: str, method: str, path: str, body: object = None) -> Any:
    """What the server there answers, from JSON; `body` is sent as JSON. Raises UserError: in its
    own words if it refuses."""
    with client_of(url, httpx.Timeout(TIMEOUT_S)) as client, understood(url):
        return read(client.request(method, path, json=body), url)


def read(reply: httpx.Response, url: str) -> Any:
    """The JSON of a whole answer. Raises UserError."""
    if reply.status_code == 401:
        raise needs_key(url)
    try:
        said = reply.json()
        if reply.is_success:
            return said
        refusal = UserError(str(said["error"]["message"]))
        if str(refusal).endswith(NO_PATH):
            raise ValueError(NO_PATH)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise something_else(url, reply) from None
    raise refusal


@contextmanager
def understood(url: str, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """What goes wrong inside, with a server or with reading what it says, is a UserError.
    `timeout_s`: what it was given to answer."""
    try:
        yield
    except httpx.TimeoutException:
        raise UserError(f"no raylax answers at {url} within {timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise lost(url, error) from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise something_else(url) from None


def lost(url: str, error: Exception) -> UserError:
    """The error to raise when there is no connection, or no more of it."""
    if CERTIFICATE in str(error):
        return UserError(f"{url}: its certificate is not trusted; SSL_CERT_FILE names one that is")
    if any(one in str(error) for one in REFUSED):
        return UserError(
            f"{url} wants a certificate of who asks, signed by whom it trusts: {CLIENT_CERT} names "
            f"its file, and {CLIENT_KEY} its key's"
        )
    return nobody_at(url)


def needs_key(url: str) -> UserError:
    """The error to raise when a server answers 401."""
    if credentials():
        return UserError(f"{url} does not know the API key that is in {API_KEY}")
    return UserError(f"{url} wants an API key: put one that it knows into {API_KEY}")


def nobody_at(url: str) -> UserError:
    """The error to raise when no answer comes."""
    return UserError(f"no raylax answers at {url}; start one by `raylax serve`")


def something_else(url: str, reply: httpx.Response | None = None) -> UserError:
    """The error to raise when what comes is no answer of ours."""
    if reply is None:
        return UserError(f"no raylax answers at {url}: what comes is not what raylax says")
    kind = reply.headers.get("content-type", "").partition(";")[0] or "no content type"
    said = f"status {reply.status_code} and {kind}"
    return UserError(f"no raylax answers at {url}: something else does, with {said}")
