"""What machine code says of itself, read from the sections of its ELF file."""

import ctypes
import struct

NO_BITS = 8  # SHT_NOBITS: a section without content
REQUIRED_THREADS, PARAMETER = 0x10, 0x17  # EIATTR_REQNTID, EIATTR_KPARAM_INFO
WITH_BODY = 4  # EIFMT_SVAL


def image_at(address: int) -> bytes:
    """An ELF file that lies in memory, whose length nobody has told."""
    header = ctypes.string_at(address, 64)
    programs, at = struct.unpack_from("<QQ", header, 32)
    size, number, entry, count = struct.unpack_from("<HHHH", header, 54)
    ends = [at + entry * count, programs + size * number]
    for i in range(count):
        row = ctypes.string_at(address + at + i * entry, 40)
        kind, _, _, offset, length = struct.unpack_from("<IQQQQ", row, 4)
        ends.append(offset + (length if kind != NO_BITS else 0))
    return ctypes.string_at(address, max(ends))


def sections(image: bytes) -> dict[str, bytes]:
    """The content of each section by name."""
    (start,) = struct.unpack_from("<Q", image, 40)
    size, count, names = struct.unpack_from("<HHH", image, 58)
    headers = [struct.unpack_from("<IIQQQQ", image, start + i * size) for i in range(count)]
    text, found = headers[names][4], {}
    for name, kind, _, _, offset, length in headers:
        end = image.index(b"\0", text + name)
        content = image[offset : offset + length] if kind != NO_BITS else b""
        found[image[text + name : end].decode()] = content
    return found


def parameters_and_threads(info: bytes) -> tuple[list[int], int]:
    """(sizes of a kernel's parameters in order, threads of a program) from its `.nv.info`."""
    sizes, threads, at = dict[int, int](), 0, 0
    while at < len(info):
        form, attribute, length = struct.unpack_from("<BBH", info, at)
        body = info[at + 4 : at + 4 + length] if form == WITH_BODY else b""
        if attribute == PARAMETER and body:
            _, ordinal, _, bits = struct.unpack("<IHHI", body)
            sizes[ordinal] = bits >> 18
        if attribute == REQUIRED_THREADS and body:
            (threads,) = struct.unpack_from("<I", body)
        at += 4 + len(body)
    return [sizes[i] for i in sorted(sizes)], threads
