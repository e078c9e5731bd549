"""One tenant against another: shares, names, secrets."""

import json
import signal
import statistics
import threading
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import grpc
import httpx

from attacks.house import CHAT, House
from attacks.report import Attack, Broken
from raylax.proto.pb import vllm_engine_pb2, vllm_engine_pb2_grpc

GREEDY = 1000
AT_ONCE = 200
"""Connections of the greedy tenant; each asks again when it has been answered."""
TIMES = 15
"""That a first token is measured."""
WITHIN = 3.0
"""How much longer than alone a first token may take, and a step."""
STEP_S = 0.05
REMOVED_S = 15.0
"""For a change of keys to reach every router."""


def first_token_s(client: httpx.Client) -> float:
    begun = time.monotonic()
    body = {**CHAT, "max_tokens": 2, "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            answer.read()
            raise Broken(f"refused: {answer.status_code} {answer.text[:120]}")
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                return time.monotonic() - begun
    raise Broken("no token came")


def fills_the_house(house: House) -> str:
    """Beside a tenant with a thousand calls, another's first token comes within three times of its
    time alone."""
    over = threading.Event()

    def ask() -> None:
        body = {**CHAT, "max_tokens": 200, "ignore_eos": True}
        with house.client("bob", 120) as client:
            while not over.is_set():
                with suppress(httpx.HTTPError):
                    client.post("/v1/chat/completions", json={**body, "user": uuid4().hex})

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(AT_ONCE)]
    with house.client("alice", 90) as client:  # one, since to make it takes longer than a token
        alone = statistics.median(first_token_s(client) for _ in range(TIMES))
        for thread in threads:
            thread.start()
        time.sleep(4)
        try:
            beside = statistics.median(first_token_s(client) for _ in range(TIMES))
        finally:
            over.set()
            for thread in threads:
                thread.join(120)
    said = f"alone {alone * 1e3:.0f} ms, beside them {beside * 1e3:.0f} ms"
    if beside > WITHIN * alone + STEP_S:
        raise Broken(said)
    return said


def asks_for_thousands_of_sequences(house: House) -> str:
    """Two calls of 64 prompts with 16 answers each take nobody's place."""
    body = {"prompt": ["hello"] * 64, "n": 16, "max_tokens": 200, "ignore_eos": True}

    def ask() -> None:
        with suppress(httpx.HTTPError), house.client("bob", 30) as client:
            client.post("/v1/completions", json=body)

    for _ in range(2):
        threading.Thread(target=ask, daemon=True).start()
    time.sleep(1)
    statuses = [house.ask("alice").status_code for _ in range(5)]
    if set(statuses) != {200}:
        raise Broken(f"another's chats: {statuses}")
    return f"another's chats: {statuses}"


def keeps_a_thousand_streams(house: House) -> str:
    """Answers that one tenant has kept leave room for another's."""
    kept = {"X-Raylax-Resume": "60"}
    body = {**CHAT, "max_tokens": 1, "stream": True}

    def keep(tenant: str) -> int:
        with house.client(tenant, 60) as client:
            return client.post("/v1/chat/completions", json=body, headers=kept).status_code

    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(keep("bob"))) for _ in range(1100)]
    for at in range(0, len(threads), 50):
        for thread in threads[at : at + 50]:
            thread.start()
        for thread in threads[at : at + 50]:
            thread.join()
    mine = keep("alice")
    refused = sum(status != 200 for status in statuses)
    if mine != 200:
        raise Broken(f"{refused} of 1,100 refused, and another's first one, too: {mine}")
    return f"{refused} of 1,100 refused; another's: {mine}"


def learns_a_prompt_by_its_pages(house: House) -> str:
    """What another tenant has asked does not show in cached_tokens."""
    secret = f"The code of the vault is {uuid4().hex} and nobody may know of it. " * 6

    def cached(tenant: str) -> int:
        answer = house.ask(tenant, messages=[{"role": "user", "content": secret}]).json()
        details = answer["usage"].get("prompt_tokens_details") or {}
        return int(details.get("cached_tokens") or 0)

    cached("alice")
    own, others = cached("alice"), cached("bob")
    if others >= 16 and others >= own:
        raise Broken(f"alice finds {own} tokens again, and bob finds {others} of hers")
    return f"alice finds {own} tokens again, bob {others}"


def ends_anothers_request(house: House) -> str:
    """A name that a client gives to a request is a name within its tenant."""
    name, ended = uuid4().hex, threading.Event()
    at = f"127.0.0.1:{house.grpc_port}"

    def metadata(tenant: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {house.keys[tenant]}")]

    tokens = 0
    with grpc.insecure_channel(at) as channel:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(channel)
        ask = vllm_engine_pb2.GenerateRequest(
            request_id=name,
            text="hello",
            stream=True,
            sampling_params=vllm_engine_pb2.SamplingParams(max_tokens=60, ignore_eos=True),
        )
        for reply in stub.Generate(ask, metadata=metadata("alice"), timeout=60):
            tokens += len(reply.chunk.token_ids)
            if not ended.is_set():
                ended.set()
                abort = vllm_engine_pb2.AbortRequest(request_ids=[name])
                stub.Abort(abort, metadata=metadata("bob"), timeout=10)
    if tokens < 60:
        raise Broken(f"alice's answer ended after {tokens} tokens of 60")
    return f"alice's answer had {tokens} of 60 tokens"


def reads_what_is_for_admins(house: House) -> str:
    """/cluster tells a tenant nothing of processes, paths and other tenants."""
    with house.client("bob") as client:
        told = client.get("/cluster").text + client.get("/metrics").text
    leaks = [what for what in ("alice", "pid", str(house.run_directory), "/root") if what in told]
    if leaks:
        raise Broken(f"found in it: {', '.join(leaks)}")
    return f"{len(told)} characters without a secret"


def looks_for_secrets_in_logs(house: House) -> str:
    """No key and no prompt is in any file of a run, nor in what it says on the terminal."""
    secret = f"secret{uuid4().hex[:8]}"  # short, since values are cut where they are shown
    for body in (
        {"messages": [{"role": "user", "content": secret}]},
        {"messages": [{"role": secret, "content": secret}]},
        {"messages": secret},
        {"temperature": secret},
        {"chat_template": secret},
        {"logit_bias": {secret: 1}},
        {"model": secret},
    ):
        house.ask("alice", **body)
    with house.client(None) as client:
        for headers in (
            {"Authorization": f"Bearer {secret}"},
            {"x-api-key": secret},
            {"Authorization": f"Bearer {house.keys['bob']}", "X-Request-Timeout": secret},
        ):
            client.post("/v1/chat/completions", headers=headers, json=CHAT)
        client.get(f"/v1/models?api_key={secret}")
    searched = {
        path.relative_to(house.run_directory): path.read_bytes()
        for path in house.run_directory.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 64 << 20
    }
    searched[Path("said")] = house.said.encode()
    for path, content in searched.items():
        for one in (secret, *house.keys.values()):
            if one.encode() in content:
                raise Broken(f"{path} has {one[:7]}…")
    return f"{len(searched)} files"


def reads_anothers_answer(house: House) -> str:
    """What is kept of a call is there for its tenant alone, and to others as if it were not."""
    kept = {"X-Raylax-Resume": "60"}
    with house.client("alice") as alice, house.client("bob") as bob:
        body = {**CHAT, "max_tokens": 4, "stream": True}
        answer = alice.post("/v1/chat/completions", json=body, headers=kept)
        call = answer.headers["x-raylax-call-id"]
        none = f"{call[:20]}{'0' if call[20] != '0' else '1'}{call[21:]}"
        for path in ("/v1/streams/", "/explain/"):
            own, others, nothing = (
                alice.get(path + call),
                bob.get(path + call),
                bob.get(path + none),
            )
            if own.status_code != 200 or others.text != nothing.text:
                raise Broken(f"{path}: {own.status_code}, and bob reads {others.text[:80]}")
    return "neither the stream nor the timeline"


def uses_a_key_that_was_removed(house: House) -> str:
    """A key that is exchanged lets nobody in, within seconds, and the next one does."""
    settings = house.settings
    before, following = settings.read_text(), f"rlx-{uuid4().hex}"
    digests = [sha256(key.encode()).hexdigest() for key in (house.keys["bob"], following)]

    def status(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{house.url}/v1/models", headers=headers, timeout=20).status_code

    def told(text: str) -> None:
        settings.write_text(text)
        house.command.send_signal(signal.SIGUSR1)

    begun = time.monotonic()
    told(before.replace(*digests))
    try:
        while status(house.keys["bob"]) != 401:
            if time.monotonic() - begun > REMOVED_S:
                raise Broken(f"it was still good after {REMOVED_S:g} s")
            time.sleep(0.1)
        took_s = time.monotonic() - begun
        if (found := status(following)) != 200:
            raise Broken(f"the next key: {found}")
    finally:
        told(before)
        while status(house.keys["bob"]) != 200 and time.monotonic() - begun < 3 * REMOVED_S:
            time.sleep(0.1)
    return f"refused after {took_s:.1f} s"


def asks_for_long_headers(house: House) -> str:
    """Headers that come from a request are bounded, whatever it asks."""
    body = {"prompt": ["hello"] * 40, "max_tokens": 1}
    with house.client("bob") as client:
        explained = client.post("/v1/completions", json=body, headers={"X-Raylax-Explain": "1"})
        stream = {**CHAT, "max_tokens": 1, "stream": True}
        answer = client.post("/v1/chat/completions", json=stream, headers={"X-Raylax-Resume": "30"})
        call = answer.headers.get("x-raylax-call-id", "none")
        again = client.get(
            f"/v1/streams/{call}", headers={"Last-Event-ID": f"{call}:" + "9" * 5000}
        )
    statuses = explained.status_code, again.status_code
    if max(statuses) >= 500:
        raise Broken(f"statuses {statuses}: {json.dumps(again.text[:80])}")
    return f"statuses {statuses}"


ATTACKS: list[Attack] = [
    fills_the_house,
    asks_for_thousands_of_sequences,
    keeps_a_thousand_streams,
    learns_a_prompt_by_its_pages,
    ends_anothers_request,
    reads_what_is_for_admins,
    looks_for_secrets_in_logs,
    reads_anothers_answer,
    uses_a_key_that_was_removed,
    asks_for_long_headers,
]
