"""What a router is told when it starts."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from raylax.proto.parsers.tools.formats import AUTO
from raylax.router.access.keys import Key
from raylax.router.prompts.limits import PromptLimits


class RouterLimits(BaseModel):
    """What a router bounds. A cluster's configuration has these, too, and hands them on."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_body_bytes: int = Field(8 << 20, ge=1024)
    """Bytes of a request; larger ones get 413."""
    max_bodies_bytes: int = Field(128 << 20, ge=1024)
    """Bytes of all requests that a router is reading at once, of which each tenant gets its part;
    what is above gets 429."""
    body_timeout_s: float = Field(60.0, gt=0)
    """For a body to arrive; slower ones get 408."""
    max_answers_bytes: int = Field(128 << 20, ge=1 << 20)
    """Bytes of all whole answers that a router is writing, or that wait for their clients to read,
    of which each tenant gets its part; what is above gets 429."""
    read_timeout_s: float = Field(30.0, gt=0)
    """For a client to read 64 KiB of a whole answer; a slower one is cut off."""
    prompt_processes: int = Field(2, ge=2)
    """Processes that render and tokenise prompts. One of them is always for small requests."""
    prompt_timeout_s: float = Field(5.0, gt=0)
    """Of CPU for a prompt to be rendered and tokenised, and as much more for every 2 MiB of its
    request; a slower one gets 400, and its process is ended."""
    prompt_memory_bytes: int = Field(256 << 20, ge=64 << 20)
    """That one of these processes may have beside what was loaded; a prompt that wants more gets
    400."""
    max_inflight: int = Field(2048, ge=1)
    """Requests in a router at once, one for each prompt and choice; more get 429. Each tenant has a
    part."""
    request_timeout_s: float = Field(600.0, gt=0)
    """From admission to the last byte that the client has taken; longer ones end with 504."""
    max_wait_s: float = Field(60.0, gt=0)
    """Expected until its first token: a request that would wait longer gets 429."""
    refuse_late: bool = True
    """Where a model has `ttft_p99_ms`: a request whose first token is expected later than that
    gets 429 at once."""
    worker_patience_s: float = Field(30.0, gt=0)
    """How long a request may be without a worker before it fails: they come back. While one is on
    its way that is `max_wait_s`."""
    worker_silence_s: float = Field(2.0, gt=0)
    """After which a worker that says nothing counts as lost."""
    hedge_share: float = Field(0.0, ge=0, le=1)
    """Of the requests that may get a second worker when their first token is late; 0: none."""
    resume_ttl_s: float = Field(60.0, gt=0)
    """How long an answer may outlive its client at most."""
    responses_ttl_s: float = Field(3600.0, gt=0)
    """How long a response of `/v1/responses` is kept after it was last used."""
    max_responses: int = Field(4096, ge=0)
    """Of these in a router at most, of which each tenant has a part; 0: none are kept."""
    max_responses_bytes: int = Field(64 << 20, ge=0)
    """Bytes of them, each with all turns before it; beyond it, or their number, those that were not
    used for the longest time go."""
    max_file_bytes: int = Field(200 << 20, ge=1024)
    """Bytes of a file of /v1/files; larger ones get 413."""
    max_files_bytes: int = Field(4 << 30, ge=1024)
    """Bytes of all files of a tenant, those included that its batches write; what is above gets
    400, or is missing from an output."""
    max_files: int = Field(1000, ge=1)
    """Files of a tenant that it has sent or that batches have written, and as many batches."""
    files_ttl_s: float = Field(30 * 24 * 3600.0, ge=3600, le=365 * 24 * 3600)
    """How long files are kept if their sender does not say, and what is told of a batch."""
    batch_lines: int = Field(16, ge=1)
    """Lines of batches that a router has a model answer at once, while nobody else waits."""

    @property
    def bodies_bytes(self) -> int:
        """`max_bodies_bytes`, and room for at least one body, packed and unpacked."""
        return max(self.max_bodies_bytes, 2 * self.max_body_bytes)

    @property
    def prompts(self) -> PromptLimits:
        """What is bounded of making prompts."""
        return PromptLimits(
            self.prompt_processes, self.prompt_timeout_s, self.prompt_memory_bytes, self.max_wait_s
        )


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """What a router is told of one of the models that it serves. What is no model's own, as the
    port, is the same for all of them."""

    model_name: str
    text_files: str
    """The directory of its tokenizer and chat template, see `raylax.proto.text.files`."""
    token: str
    """The cluster's secret, shown to workers."""
    aliases: tuple[str, ...] = ()
    """Further names by which clients may ask for it, and patterns of them, with `*`."""
    model_id: str = ""
    """The model's name among workers. Those of another one, which are there while one model
    replaces another, are not used."""
    policy: str = "expected-latency"
    tool_parser: str = AUTO
    """Which of `TOOL_PARSERS` reads its tool calls."""
    reasoning_parser: str = AUTO
    """Which of `REASONING_NAMES` says how it marks its thoughts."""
    reranker: str = AUTO
    """Which of `RERANKERS` says how it scores texts."""
    pooling: str = AUTO
    """What its engines are told of how vectors are made."""
    limits: RouterLimits = RouterLimits()
    ttft_target_s: float | None = None
    """Who would wait longer for a first token is refused at once."""
    host: str = "127.0.0.1"
    grpc_port: int = 9000
    enable_debug: bool = False
    dashboard: bool = True
    """Whether there is a page at /dashboard."""
    strict_fields: bool = False
    """Whether a field that nobody knows is a mistake; else it is warned of."""
    share_prefixes: bool = False
    """Whether tenants find each other's pages."""
    routers: int = 1
    """Replicas, each of which grants its part of every limit of a key."""
    keys: tuple[Key, ...] = ()
    """Who may ask; without any, everybody who reaches the router."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names by which it may be asked where there are no keys; "*": all."""
    cors_origins: tuple[str, ...] = ()
    """Pages of these origins may ask from a browser; "*": all."""
    answers: str = ""
    """A directory where answers outlive routers; empty: they end with their router."""
    files: str = ""
    """A directory of files and batches, which outlives the cluster; empty: there are none."""
    tls_cert: str | None = None
    """A file of certificates in PEM, ours first, and its key: gRPC is then encrypted."""
    tls_key: str | None = None
    tls_client_ca: str | None = None
    """A file of authorities in PEM, of whose certificates every client must have one."""
