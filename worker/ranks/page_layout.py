"""Contents of pages, as they go to another engine: in one layout, however many ranks there are.

Layer after layer the keys of all KV heads, then their values; those of a head lie as the kernels
have them, with their scales if there are any. A rank alone has just this. One of several has some
of the layers and heads, which travel by the ranks' group once the leader has said which pages.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raylax.kernels.shards import Degree
from raylax.kernels.spec import DecoderSpec
from raylax.worker.ranks.rank import LEADER, Rank

Bytes = npt.NDArray[np.uint8]
"""[layers, keys | values, KV heads, bytes of a head]."""
Part = tuple[slice, slice, slice]
"""Layers, keys or values, and KV heads: what of a whole page a rank has."""


def encoded(pages: Sequence[int]) -> bytes:
    """Page numbers as the leader sends them to the other ranks: int32."""
    return np.asarray(pages, np.int32).tobytes()


def decoded(body: bytes) -> list[int]:
    """The page numbers that `encoded` made these bytes of."""
    numbers: list[int] = np.frombuffer(body, np.int32).tolist()
    return numbers


def parts_of(degree: Degree, spec: DecoderSpec) -> list[Part]:
    """What of a whole page each rank has, in order of rank. Where there are more shards than KV
    heads, several have the same."""
    heads = degree.local(spec).kv_heads
    places = [degree.place(spec, rank) for rank in range(degree.ranks)]
    return [
        (
            slice(at.first_layer, at.first_layer + at.layers),
            slice(None),
            slice(at.first_kv_head, at.first_kv_head + heads),
        )
        for at in places
    ]


class PageParts:
    """One rank's part of pages; all ranks `read` or `write` the same pages in the same order.

    Raises CommError when the ranks cannot go on.
    """

    def __init__(self, rank: Rank) -> None:
        assert rank.group is not None
        self._model, self._group = rank.model, rank.group
        spec, degree = self._model.spec, self._model.options.degree
        local = degree.local(spec)
        kept = (local.layers, 2, local.kv_heads)
        head = self._model.page_bytes // int(np.prod(kept))
        self._kept = (*kept, head)
        self._whole = (spec.layers, 2, spec.kv_heads, head)
        self._parts = parts_of(degree, spec)
        self._layers = self._model.place.layers

    def check(self, contents: Sequence[bytes]) -> None:
        """Raises ValueError if one of these is no whole page, before other ranks wait for their
        part of it."""
        size = int(np.prod(self._whole))
        for content in contents:
            if len(content) != size:
                raise ValueError(f"a page of this model has {size} bytes, found {len(content)}")

    def read(self, pages: Sequence[int]) -> list[bytes]:
        """On the leader the whole of each; the others send their parts, and have nothing."""
        if self._group.rank == LEADER:
            return [self._gather(page) for page in pages]
        for page in pages:
            self._group.send(self._read(page), LEADER)
        return []

    def write(self, pages: Sequence[int], contents: Sequence[bytes] = ()) -> None:
        """The leader has the `contents` and sends the others their parts."""
        if self._group.rank == LEADER:
            for page, content in zip(pages, contents, strict=True):
                self._scatter(page, content)
            return
        part = np.empty((self._layers, *self._kept[1:]), np.uint8)
        for page in pages:
            self._group.recv(part, LEADER)
            self._write(page, part)

    def _gather(self, page: int) -> bytes:
        whole = np.empty(self._whole, np.uint8)
        whole[self._parts[LEADER]] = self._read(page)
        for rank in range(1, self._group.world):
            part = np.empty_like(whole[self._parts[rank]], order="C")
            self._group.recv(part, rank)
            whole[self._parts[rank]] = part
        return whole.tobytes()

    def _scatter(self, page: int, content: bytes) -> None:
        whole = np.frombuffer(content, np.uint8).reshape(self._whole)
        for rank in range(1, self._group.world):
            self._group.send(whole[self._parts[rank]].copy(), rank)
        self._write(page, whole[self._parts[LEADER]])

    def _read(self, page: int) -> Bytes:
        """Every rank has room for as many layers as the largest stage."""
        kept = np.frombuffer(self._model.read_page(page), np.uint8)
        return kept.reshape(self._kept)[: self._layers]

    def _write(self, page: int, part: Bytes) -> None:
        kept = np.zeros(self._kept, np.uint8)
        kept[: self._layers] = part
        self._model.write_page(page, kept.tobytes())
