"""What `raylax` can be told to do, and the help that it shows."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from raylax.cluster.cli.flags import Json, settings, with_flags
from raylax.cluster.cli.replaying import replay
from raylax.cluster.config.reading import read_config
from raylax.cluster.errors import UserError
from raylax.cluster.joining.command import join, leave
from raylax.cluster.manifests.command import manifests

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
Url = Annotated[str, typer.Argument(help="Where raylax serves.", metavar="[URL]")]
HERE = "http://127.0.0.1:8000"
MODEL = (
    "A checkpoint directory, a GGUF file, org/name or org/name:Q4_K_M of Hugging Face, a short "
    "name as smollm2, or demo."
)
DECIDE_THE_BUILD = (
    "quantization", "mode", "max_replicas", "tensor_parallel_shards", "pipeline_parallel_stages",
)  # fmt: skip
"""Settings of `serve` that decide what is compiled and packed."""


@app.command()
@with_flags(*settings(), argument="model")
def serve(
    config: Annotated[
        Path | None, typer.Option(help="A raylax.yaml; flags override what it says.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any key of the file, a section's as section.key."
        ),
    ] = None,
    **flags: Any,
) -> None:
    """Start a local cluster and serve a model until Ctrl-C.

    Example: [bold]raylax serve ./Llama-3.2-1B-Instruct --port 8080 --quantization q4f32_1[/]

    Example: [bold]raylax serve demo --set engine.speculative_mode=eagle[/]
    """
    from raylax.cluster.startup import launch

    launch.serve(partial(read_config, config, flags, given or ()), config, Console())


@app.command()
def chat(
    url: Url = HERE,
    model: Annotated[str | None, typer.Option(help="Whom to ask; else the first one.")] = None,
    system: Annotated[str | None, typer.Option(help="A system message to begin with.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0: always the likeliest.")] = None,
) -> None:
    """Talk to a model in the terminal: /help says what can be typed. Ctrl-C stops an answer, Ctrl-D
    ends the talk. From a pipe each line is a question, and answers are all that is printed.

    Example: [bold]raylax chat http://127.0.0.1:8000 --model raylax-demo[/]

    Example: [bold]echo "What is 2 + 2?" | raylax chat[/]
    """
    import sys

    from raylax.cluster.cli.chat import talk
    from raylax.cluster.cli.questions import questions_of

    talk(
        url, questions_of(sys.stdin), Console(), model=model, system=system,
        temperature=temperature, by_hand=sys.stdin.isatty(),
    )  # fmt: skip


@app.command()
def status(
    url: Url = HERE,
    json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Every second anew, with rates, until Ctrl-C.")
    ] = False,
) -> None:
    """Show every worker: state, KV use, what runs and waits, versions.

    Example: [bold]raylax status --json | jq '.workers[0].engine_config'[/]
    """
    if watch and not json:
        from raylax.cluster.cli.live.overview import Overview
        from raylax.cluster.cli.live.screen import keep_showing

        return keep_showing(url, Overview().draw, Console())
    from raylax.cluster.cli.status import show

    show(url, json, Console())


@app.command()
def top(url: Url = HERE) -> None:
    """Show the requests that run, the longest first, every second anew until Ctrl-C: whose they
    are, where they run, how far they have come.

    Example: [bold]raylax top http://127.0.0.1:8000[/]
    """
    from raylax.cluster.cli.live.screen import keep_showing
    from raylax.cluster.cli.live.top import draw

    keep_showing(url, draw, Console())


@app.command("compile")
@with_flags(*DECIDE_THE_BUILD)
def compile_model(
    model: Annotated[
        str | None,
        typer.Argument(help=MODEL),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="cuda/sm_80, 86, 89, 90, 100, 103, 120: GPUs that need not be here."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With --target: the directory to write.")
    ] = None,
    **flags: Any,
) -> None:
    """Compile a model and pack its weights into the store, so that serving starts at once; with
    --target, make its machine code for GPUs, which serve --model-lib runs elsewhere; without MODEL,
    that of the kernels that all models share.

    Example: [bold]raylax compile ./Llama-3.2-1B-Instruct --quantization q4f32_1[/]

    Example: [bold]raylax compile ./Llama-3.2-1B-Instruct --target cuda/sm_90 -o lib[/]
    """
    from raylax.cluster.models.build import build
    from raylax.cluster.models.checks import precision_lost
    from raylax.cluster.models.cross_compile import compile_for, compile_kernels
    from raylax.cluster.models.lookup import fetch_models, find_models
    from raylax.cluster.models.memory import plan_engines
    from raylax.cluster.startup.progress import Steps

    console = Console()
    with Steps(console) as steps:
        show = partial(steps.show, "model")
        if model is None:
            directory = compile_kernels(target, output, show)
            said = f"the kernels of all models are compiled for {target}: {directory}"
        else:
            config = read_config(None, {"model": model, **flags})
            config = fetch_models(config, steps.audience("model"))
            found = find_models(config)[0]
            _, checkpoint, name = found
            if target is None and output is None:
                build(found, plan_engines([found])[0], show)
                note = precision_lost(found)
                said = f"{name} is compiled" + (f"\nnote: {note}" if note else "")
            else:
                directory = compile_for(target, config, checkpoint, output, show)
                said = f"{name} is compiled for {target}: {directory}"
    console.print(said, highlight=False, soft_wrap=True)


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help=MODEL)],
    device: Annotated[
        str, typer.Option(help="Whose files: cpu, cuda, or auto, where there is a choice.")
    ] = "auto",
) -> None:
    """Download a model, or what is new of it, and print where it lies: serving it then needs no
    network.

    Example: [bold]raylax pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0[/]
    """
    from raylax.cluster.models.lookup import fetched
    from raylax.cluster.startup.progress import Steps

    config = read_config(None, {"model": model, "device": device})
    with Steps(Console(stderr=True)) as steps:
        found = fetched(config, steps.audience("model"))
    print(found.path)


@app.command()
def models() -> None:
    """List the short names of models that `serve`, `compile` and `pull` know, with the files for
    this machine; and the families of models that are read, whatever they are called.

    Example: [bold]raylax serve qwen2.5:0.5b[/]
    """
    from raylax.cluster.cli.short_names import show

    show(Console())


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Who gets it: letters, digits and . _ -")],
    admin: Annotated[
        bool, typer.Option("--admin", help="For metrics, status, debugging and draining, too.")
    ] = False,
) -> None:
    """Make an API key: it is shown once, and its hash as lines for raylax.yaml.

    Example: [bold]raylax key alice[/]
    """
    from raylax.cluster.cli.keys import make_key

    make_key(name, admin)


app.command()(join)
app.command()(leave)


@app.command()
def node(
    secret: Annotated[
        Path, typer.Argument(help="The cluster's secret; a new one if none is there.")
    ],
    address: Annotated[
        list[str], typer.Option(help="By which the other machines reach this one; several times.")
    ],
) -> None:
    """Prepare this machine for a Ray cluster of several: write its certificate and Ray's token
    beside the secret, and print the environment that Ray's processes need.

    Example: [bold]raylax node ~/.raylax/secret --address 10.0.0.2[/]
    """
    from raylax.cluster.cli.node import prepare_node

    prepare_node(secret, address)


app.command()(manifests)
app.command()(replay)


@app.command()
def drain(
    worker: Annotated[str, typer.Argument(help="A worker, as status names it.")],
    url: Url = HERE,
) -> None:
    """Move a worker's requests to the others and end it; the cluster starts another one.

    Example: [bold]raylax drain 1f3c9a2b[/]
    """
    from raylax.cluster.cli.calls import drain

    drain(url, worker, Console())


@app.command()
def explain(
    request_id: Annotated[
        str | None, typer.Argument(help="As the answer names it: chatcmpl-…")
    ] = None,
    url: Url = HERE,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="How many workers there are, and why, instead.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what happened to a past request, and why it went to which worker. Or, by --scaling, what
    the autoscaler decided and why.

    Example: [bold]raylax explain chatcmpl-6b1f…[/]
    """
    if scaling:
        from raylax.cluster.cli.calls import explain_scaling

        explain_scaling(request_id or url, json, Console())  # it comes first where no id does
        return
    if request_id is None:
        raise UserError("explain needs the id of a request, or --scaling")
    from raylax.cluster.cli.calls import explain

    explain(url, request_id, json, Console())


@app.command("trace")
def write_trace(
    url: Url = HERE,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write; -: the standard output.")
    ] = Path("trace.json"),
) -> None:
    """Write where the time went: a file of all routers, workers and their ranks on one clock, with
    what each request waited for and each step did. https://ui.perfetto.dev and chrome://tracing
    show it. For admins, of what is served with --enable-debug and --enable-tracing.

    Example: [bold]raylax trace -o trace.json[/]
    """
    from raylax.cluster.cli.trace import trace

    trace(url, output, Console())


@app.command()
def version() -> None:
    """Print the versions that matter, as --version does."""
    from raylax.worker.serving.worker import versions

    for name, value in versions().items():
        print(f"{name} {value}")


def show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=show_version,
            is_eager=True,
            help="Print the versions that matter.",
        ),
    ] = False,
) -> None:
    """Serve open-weights language models on a Ray cluster, with engines compiled by TVM."""
