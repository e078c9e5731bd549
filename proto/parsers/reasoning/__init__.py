"""Parsers of what models think before they speak, by name. Start at `thinking.py`."""

from raylax.proto.parsers.reasoning.thinking import ThoughtMarks

THINK = ThoughtMarks(("<think>",), ("</think>",))
REASONING_FORMATS: dict[str, ThoughtMarks] = {
    "think": THINK,
    "deepseek_r1": THINK._replace(always=True),
    "granite": ThoughtMarks(
        ("<think>", "Here is my thought process:", "Here's my thought process:"),
        ("</think>", "Here is my response:", "Here's my response:"),
        around=("<response>", "</response>"),
    ),
    "mistral": ThoughtMarks(("[THINK]",), ("[/THINK]",)),
    "seed": ThoughtMarks(("<seed:think>",), ("</seed:think>",)),
}
HARMONY = "harmony"
"""Thoughts that are read with the calls of tools, by one parser."""
HARMONY_MARKS = ThoughtMarks(
    ("<|channel|>analysis<|message|>",),
    ("<|end|>",),
    close="<|end|><|start|>assistant<|channel|>final<|message|>",
    between="<|start|>assistant",
    before_text="<|channel|>final<|message|>",
    tokens=("<|start|>", "<|channel|>", "<|message|>", "<|end|>"),
)
"""Of its first thought."""
NONE = "none"
"""What is thought is a part of what is said."""
REASONING_NAMES = (*REASONING_FORMATS, HARMONY, NONE)
