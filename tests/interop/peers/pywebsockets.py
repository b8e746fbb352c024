"""python3-websockets. README.md tells how it is called."""

import asyncio
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Close, Opcode

from script import Chance, Script

sys.dont_write_bytecode = True
PATIENCE = 60
AT_ONCE = 4
MAX_SIZE = 20 * 1024 * 1024
COMMON = dict(max_size=MAX_SIZE, ping_interval=None, compression=None, close_timeout=PATIENCE)
OFFERS = {
    "off": None,
    "on": [ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)],
    "takeover": [ClientPerMessageDeflateFactory(client_max_window_bits=True)],
    "window": [ClientPerMessageDeflateFactory(server_max_window_bits=10, client_max_window_bits=11)],
}


async def send_fragments(socket, kind, pieces):
    """Frames that may end within a character, which send() would not make."""
    opcode = Opcode.TEXT if kind == "text" else Opcode.BINARY
    for i, piece in enumerate(pieces):
        await socket.write_frame(i + 1 == len(pieces), Opcode.CONT if i else opcode, piece)


async def serve():
    chance = Chance(7)

    async def echo(socket):
        async for message in socket:
            data = message.encode() if isinstance(message, str) else message
            cuts = sorted(chance.below(len(data) + 1) for _ in range(chance.below(9) if chance.below(3) == 0 else 0))
            cuts = [0, *cuts, len(data)]
            kind = "text" if isinstance(message, str) else "binary"
            await send_fragments(socket, kind, [data[a:b] for a, b in zip(cuts, cuts[1:])])

    async with websockets.serve(echo, "127.0.0.1", 0, **COMMON, extensions=[ServerPerMessageDeflateFactory()]) as server:
        print(server.sockets[0].getsockname()[1], websockets.version.version, sep="\t", flush=True)
        await asyncio.Future()


class Told:
    def __init__(self):
        self.extensions = set()
        self.conversations = self.messages = self.differences = 0


async def converse(url, mode, number, told):
    script = Script(number)

    def differ(what):
        told.differences += 1
        print(f"{mode} {number}: {what}", file=sys.stderr)

    pongs = []

    async def say(socket, kind, data, fragments):
        if kind != "ping":
            await send_fragments(socket, kind, fragments)
        elif data not in socket.pings:  # websockets refuses to have two of them under way
            pongs.append(await socket.ping(data))

    async def hear(socket, kind, data):
        if kind == "ping":
            return
        got = await socket.recv()
        if isinstance(got, str) != (kind == "text") or (got.encode() if kind == "text" else got) != data:
            differ(f"{len(data)} bytes of {kind} came back as {len(got)}")
        told.messages += 1

    try:
        async with websockets.connect(url, **COMMON, extensions=OFFERS[mode]) as socket:
            told.extensions.add(socket.response_headers.get("Sec-WebSocket-Extensions", "-"))
            if script.pipelined:
                speaker = asyncio.ensure_future(say_all(socket, script, say))
                for kind, data, _ in script.steps:
                    await hear(socket, kind, data)
                await speaker
            else:
                for kind, data, fragments in script.steps:
                    await say(socket, kind, data, fragments)
                    await hear(socket, kind, data)
            await asyncio.gather(*pongs)
            if not script.code:
                await socket.write_close_frame(Close(1005, ""), b"")
            await socket.close(script.code or 1000, script.reason)
            if socket.close_code != (script.code or 1005):
                differ(f"closed with {script.code or 1005}, heard {socket.close_code}")
    except Exception as problem:
        differ(repr(problem))
    told.conversations += 1


async def say_all(socket, script, say):
    for step in script.steps:
        await say(socket, *step)


async def play(mode, url, first, count):
    told = Told()
    numbers = iter(range(first, first + count))

    async def some():
        for number in numbers:
            await asyncio.wait_for(converse(url, mode, number, told), PATIENCE)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    print(websockets.version.version, " | ".join(sorted(told.extensions)), told.conversations, told.messages, told.differences, sep="\t")


if sys.argv[1] == "server":
    asyncio.run(serve())
else:
    asyncio.run(play(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
