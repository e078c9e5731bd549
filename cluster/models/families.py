"""The families of models that are read, as people know them."""

from collections.abc import Iterator
from dataclasses import dataclass

from raylax.kernels.checkpoints.gguf.config import ALSO_NAMED, ARCHITECTURES


@dataclass(frozen=True, slots=True)
class Row:
    """Some architectures that have all of this in common."""

    name: str
    architectures: tuple[str, ...]
    """In config.json."""
    tools: str = ""
    """How most of its models write calls of tools: the name of a parser. Which one a model has its
    template says."""
    thoughts: str = ""
    """The same of thoughts."""

    as_llama: bool = False
    """Whether its GGUF files say llama."""

    @property
    def files(self) -> str:
        """Formats beside safetensors and PyTorch's, which all have."""
        named = {one.name for one in ARCHITECTURES.values()}
        named |= {name for _, name in ALSO_NAMED.values()}
        return "GGUF" if self.as_llama or named & {*self.architectures} else ""


ROWS = (
    Row("Llama 2 and 3, Yi, SmolLM 1 and 2", ("LlamaForCausalLM",), "llama3_json"),
    Row("InternLM 3", ("InternLM3ForCausalLM",), as_llama=True),
    Row("InternLM 2", ("InternLM2ForCausalLM",)),
    Row("SmolLM 3", ("SmolLM3ForCausalLM",), "hermes", "think"),
    Row("Mistral", ("MistralForCausalLM",), "mistral", "mistral", as_llama=True),
    Row(
        "Mistral Small 3, text",
        ("Mistral3ForConditionalGeneration",),
        "mistral",
        "mistral",
        as_llama=True,
    ),
    Row("Ministral", ("MinistralForCausalLM",), "mistral"),
    Row("Mixtral", ("MixtralForCausalLM",), "mistral"),
    Row("Qwen 1.5, 2 and 2.5", ("Qwen2ForCausalLM",), "hermes"),
    Row("Qwen 3", ("Qwen3ForCausalLM",), "hermes", "think"),
    Row(
        "Qwen 2 VL and 2.5 VL, text",
        ("Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"),
        "hermes",
    ),
    Row("Qwen 3 VL, text", ("Qwen3VLForConditionalGeneration",), "hermes", "think"),
    Row("Qwen 1.5 with experts", ("Qwen2MoeForCausalLM",)),
    Row("Qwen 3 with experts", ("Qwen3MoeForCausalLM",), "hermes", "think"),
    Row("GLM 4.5 to 4.7", ("Glm4MoeForCausalLM",), "glm45", "think"),
    Row("dots.llm1", ("Dots1ForCausalLM",)),
    Row("MiniMax M2", ("MiniMaxM2ForCausalLM",), "", "think"),
    Row("ERNIE 4.5, dense", ("Ernie4_5ForCausalLM",)),
    Row("ERNIE 4.5 with experts", ("Ernie4_5_MoeForCausalLM",)),
    Row("MiMo 7B", ("MiMoForCausalLM",), "hermes", "think"),
    Row("Gemma 1", ("GemmaForCausalLM",)),
    Row("Gemma 2", ("Gemma2ForCausalLM",)),
    Row(
        "Gemma 3, text",
        ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"),
        "json",
    ),
    Row("Phi 1, 1.5 and 2", ("PhiForCausalLM",)),
    Row("Phi 3, 3.5 and 4", ("Phi3ForCausalLM",), "phi4_mini_json"),
    Row("OLMo 2", ("Olmo2ForCausalLM",)),
    Row("OLMo 3", ("Olmo3ForCausalLM",), "hermes", "think"),
    Row("OLMoE", ("OlmoeForCausalLM",)),
    Row("Granite 3", ("GraniteForCausalLM",), "granite", "granite"),
    Row("Granite 4 without Mamba", ("GraniteMoeHybridForCausalLM",), "hermes"),
    Row("Command R, Aya", ("CohereForCausalLM",)),
    Row("Command R7B and A", ("Cohere2ForCausalLM",)),
    Row("EXAONE 4", ("Exaone4ForCausalLM",), "hermes", "think"),
    Row("Seed-OSS", ("SeedOssForCausalLM",), "", "seed"),
    Row("Nemotron 3 and 4, Minitron", ("NemotronForCausalLM",)),
    Row("AFM 4.5B", ("ArceeForCausalLM",)),
    Row("Helium 1", ("HeliumForCausalLM",)),
    Row("CWM", ("CwmForCausalLM",)),
    Row("GLM 4", ("GlmForCausalLM",), "glm4"),
    Row("GLM 4 0414", ("Glm4ForCausalLM",), "glm4"),
    Row("StableLM 2", ("StableLmForCausalLM",)),
    Row("StarCoder 2", ("Starcoder2ForCausalLM",)),
    Row("GPT-2", ("GPT2LMHeadModel",)),
    Row("GPT-NeoX, Pythia", ("GPTNeoXForCausalLM",)),
    Row("gpt-oss", ("GptOssForCausalLM",), "harmony", "harmony"),
    Row("Embeddings", ("LlamaModel", "MistralModel", "Qwen2Model")),
    Row("Qwen 3 Embedding", ("Qwen3Model",)),
    Row(
        "Labels of texts, rerankers",
        tuple(
            f"{name}ForSequenceClassification"
            for name in ("Gemma", "Gemma2", "Llama", "Mistral", "Phi3", "Qwen2", "Qwen3")
        ),
    ),
)
BACKENDS = "CPU, GPU"
"""All of them: what a GPU does not compute of one is refused by name."""
COLUMNS = ("family", "architecture", "runs on", "also from", "calls", "thoughts")


def rows(short: bool = False) -> Iterator[tuple[str, ...]]:
    """A row of COLUMNS for each. `short`: of several architectures the first, and how many more."""
    for one in ROWS:
        first, *more = one.architectures
        named = f"{first} +{len(more)}" if more and short else ", ".join(one.architectures)
        yield one.name, named, BACKENDS, one.files, one.tools, one.thoughts
