"""How text is cut into words, by the names that llama.cpp has for it (`tokenizer.ggml.pre`)."""

from raylax.kernels.checkpoints.text.byte_level import CL100K, GPT2, O200K, QWEN2, TEKKEN, Words

SIGNS, NUMBERS = r"[\p{P}\$\+<=>\^~\|]+", r"\p{N}+"
DIGIT, THREE = r"\p{N}", "[0-9][0-9][0-9]"
HAN = "[一-龥ࠀ-一가-퟿]+"
ROMAN = r"\s?[[\p{Lu}\p{Ll}\p{Lt}]&&[^ა-ჿ]]+"
WIDE = r"\s?[!-/:-~！-／：-～‘-‟　-。]+"
SMALL_SIGNS = r"[\p{P}\$\+<=>\^~\|`]+"
CODE = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SENTENCES = r" ?[^(\s|.,!?…。，、।۔،)]+"
ALIKE: dict[Words, str] = {
    Words((CL100K,), whole_first=True): "llama-bpe llama3 llama-v3 falcon3 pixtral midm-2.0",
    Words((CL100K,)): "dbrx smaug-bpe glm4 chatglm-bpe",
    Words((QWEN2,), composed=True): "qwen2 deepseek-r1-qwen kormo megrez",
    Words((QWEN2,)): "stablelm2 hunyuan solar-open grok-2",
    Words((TEKKEN,), whole_first=True): "tekken",
    Words((O200K,)): "gpt-4o llama4 kanana2",
    Words((GPT2,)): "gpt-2 gpt2 phi-2 olmo mpt jais trillion exaone4 mellum gigachat a.x-4.0",
    Words((DIGIT, GPT2)): "smollm starcoder refact command-r codeshell exaone minerva-7b",
    Words((SIGNS, GPT2, NUMBERS, THREE)): "default",
    Words((SMALL_SIGNS, GPT2, THREE)): "falcon",
    Words((r"[\r\n]", ROMAN, WIDE, r"(?<!\s)\s+\z", HAN, NUMBERS)): "deepseek-llm",
    Words((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN, DIGIT)): "deepseek-coder",
    Words((r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", CODE)): "deepseek-v3 hunyuan-dense",
    Words((SENTENCES,)): "poro-chat bloom gpt3-finnish",
    Words((SENTENCES, DIGIT)): "viking",
}
KINDS = {name: words for words, names in ALIKE.items() for name in names.split()}
BEGUN = ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0", "tekken")
"""Those whose texts begin with a token where the file does not say."""
