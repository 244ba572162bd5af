"""coverage_of_coroutines.py <notes>.gcno...: has gcov count the bodies of coroutines.

GCC 12 compiles the body of a coroutine into a function ".actor", which it counts but marks as artificial, and gcov
leaves out what is marked so. This takes the mark away. The format is that of GCC's gcov-io.h, since GCC 12.
"""

import pathlib
import struct
import sys

FUNCTION = 0x01000000


def word(notes, at):
    return struct.unpack_from("<I", notes, at)[0]


for path in map(pathlib.Path, sys.argv[1:]):
    notes = bytearray(path.read_bytes())
    if notes[:4] != b"oncg":
        sys.exit(f"{path} is no note file of gcov on a little-endian machine")
    at = 16  # magic, version, stamp and checksum; then the folder, and whether it knows of blocks not run
    at += 4 + word(notes, at) + 4
    while at + 8 <= len(notes) and word(notes, at) != 0:
        if word(notes, at) == FUNCTION:
            name = at + 20  # behind tag, length, number and two checksums
            end = name + 4 + word(notes, name)
            if b".actor" in notes[name + 4 : end]:
                struct.pack_into("<I", notes, end, 0)
        at += 8 + word(notes, at + 4)
    path.write_bytes(notes)
