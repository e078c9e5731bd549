"""What a conversation's template needs of a tokenizer."""

from raylax.kernels.checkpoints.mlc.conversation import named_tokens


def test_tokens_have_their_names_by_number() -> None:
    """Of a vocabulary that is a table or a list, and of what was added."""
    added = [{"id": 2, "content": "<s>"}, {"id": "3"}, 5]

    assert named_tokens({"model": {"vocab": {"a": 0}}, "added_tokens": added}) == {0: "a", 2: "<s>"}
    assert named_tokens({"model": {"vocab": [["a", -1.0], ["b", -2.0]]}}) == {0: "a", 1: "b"}


def test_tokens_that_are_no_list_have_no_names() -> None:
    """A tokenizer.json may say anything."""
    assert named_tokens({"added_tokens": 7, "model": {"vocab": {"a": 0}}}) == {0: "a"}
