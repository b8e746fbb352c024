"""What a client says in the conversation of a number, as in Script.h."""

TABLE_SIZE = 65536
MEBI = 1024 * 1024
LARGEST = 16 * MEBI
MASK = 0xFFFFFFFF


class Chance:
    def __init__(self, seed):
        self.state = (seed * 2654435761 + 88172645) & MASK or 1

    def below(self, limit):
        state = self.state
        state ^= state << 13 & MASK
        state ^= state >> 17
        state ^= state << 5 & MASK
        self.state = state
        return (state >> 4) % limit


def bytes_table():
    chance = Chance(0)
    return bytes(chance.below(256) for _ in range(TABLE_SIZE))


def text_table():
    alphabet = [c.encode() for c in "abcdefghij \0\x7f\x80é\u07ff\u0800世\ud7ff\ue000\uffff\U00010000😀\U0010ffff"]
    chance = Chance(1)
    table = bytearray()
    while len(table) < TABLE_SIZE:
        table += alphabet[chance.below(len(alphabet))]
    return bytes(table)


BYTES, TEXT = bytes_table(), text_table()


def content(chance, is_text, size):
    table = TEXT if is_text else BYTES
    length = min(1 + chance.below(40) if chance.below(2) == 1 else 50000, size)
    start = chance.below(TABLE_SIZE - length)
    end = start + length
    if is_text:
        while start < end and table[start] & 0xC0 == 0x80:
            start += 1
        while start < end and table[end] & 0xC0 == 0x80:
            end -= 1
    unit = table[start:end] or b"."
    return (unit * (size // len(unit))).ljust(size, b".")


def skewed_size(chance):
    where = chance.below(1000)
    if where < 60:
        return (0, 125, 126, 127, 65535, 65536)[chance.below(6)]
    return chance.below(300 if where < 800 else 5000 if where < 960 else 70000 if where < 995 else MEBI)


def make_step(chance, number, first, last):
    """(kind, data, fragments)"""
    kind = chance.below(8)
    size = 0
    if first and number % 1000 == 999:
        size = LARGEST
    elif first and number % 500 == 249:
        size = MEBI + chance.below(LARGEST - MEBI)
    if kind == 0 and not last and size == 0:
        data = content(chance, False, chance.below(126))
        return "ping", data, [data]
    if size == 0:
        size = skewed_size(chance)
    data = content(chance, kind < 5, size)
    how = chance.below(16)
    count = 0 if how < 10 else 1 + chance.below(8) if how < 15 else 1 + chance.below(64)
    cuts = [0, *sorted(chance.below(size + 1) for _ in range(count)), size]
    return "text" if kind < 5 else "binary", data, [data[a:b] for a, b in zip(cuts, cuts[1:])]


class Script:
    def __init__(self, number):
        chance = Chance(number + 2)
        count = 1 + chance.below(8)
        self.steps = [make_step(chance, number, i == 0, i + 1 == count) for i in range(count)]
        self.pipelined = chance.below(2) == 1
        how = chance.below(4)
        self.code = 0
        if how == 1:
            self.code = 1000
        elif how == 2:
            self.code = 3000 + chance.below(2000)
        elif how == 3:
            self.code = (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011)[chance.below(8)]
        self.reason = content(chance, True, chance.below(124)).decode() if how else ""
