"""What becomes of the pages of one that gives way: they are copied to host memory and back, or
computed again, whichever takes less."""

from raylax.proto.pages import pages_for
from raylax.worker.scheduling.pace.prefill_time import PrefillTime, pairs


def is_put_aside(tokens: int, room: int, page_s: float, prefill: PrefillTime) -> bool:
    """Whether so many tokens' pages are copied: there is `room` for so many, and a page takes
    `page_s`, out and back, of which less is needed than for the tokens as prefills. While nobody
    knows what those take, they are computed."""
    pages = pages_for(tokens)
    return 0 < pages <= room and page_s * pages < prefill.seconds(tokens, pairs(tokens, 0))
