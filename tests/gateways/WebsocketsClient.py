"""WebsocketsClient.py URL PROMISE: python3-websockets as the client of echo; ends with 0 when the promise is kept."""

import asyncio
import os
import random
import sys

import websockets

url, promise = sys.argv[1:]


def connect(**options):
    return websockets.connect(url, max_size=None, ping_interval=None, compression=None, **options)


async def echoes(socket, data):
    await socket.send(data)
    got = await socket.recv()
    assert type(got) is type(data) and got == data, f"{len(data)} came back as {len(got)}"


async def sizes():
    async with connect() as socket:
        for size in (0, 1, 125, 126, 65535, 65536, 1024 * 1024):
            await echoes(socket, os.urandom(size))
            await echoes(socket, "é" * (size // 2))


async def large():
    async with connect() as socket:
        await echoes(socket, os.urandom(16 * 1024 * 1024))


async def fragments():
    async with connect() as socket:
        await socket.send(["Gr", "", "ü", "ße"])
        assert await socket.recv() == "Grüße"
        await socket.send([b"a", b"", b"b" * 70000])
        assert await socket.recv() == b"a" + b"b" * 70000


async def pings():
    async with connect() as socket:
        for payload in (b"", b"x", os.urandom(125)):
            await asyncio.wait_for(await socket.ping(payload), 20)
        await socket.pong(b"unasked")
        await echoes(socket, "still here")


async def closeCodes():
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999):
        async with connect() as socket:
            await socket.close(code, f"reason {code} é")
            assert socket.close_code == code, socket.close_code
            await socket.wait_closed()


async def compressionIsDeclined():
    async with websockets.connect(url, compression="deflate") as socket:
        assert not socket.extensions
        await echoes(socket, "x" * 5000)


async def noSubprotocol():
    async with connect(subprotocols=["chat", "superchat"]) as socket:
        assert socket.subprotocol is None


async def conversation(seed):
    chance = random.Random(seed)
    async with connect() as socket:
        expected = []
        for _ in range(chance.randrange(1, 13)):
            data = f"{seed}:" + "xyz€" * chance.randrange(1000)
            if chance.random() < 0.5:
                data = data.encode()
            if chance.random() < 0.3:
                cut = chance.randrange(len(data))
                await socket.send([data[:cut], data[cut:]])
            else:
                await socket.send(data)
            if chance.random() < 0.2:
                await socket.ping()
            expected.append(data)
        for data in expected:
            assert await socket.recv() == data
        if chance.random() < 0.5:
            await socket.close(chance.choice((1000, 1001, 3000)))


async def conversations():
    seeds = list(range(200))

    async def some():
        while seeds:
            await conversation(seeds.pop())

    await asyncio.gather(*(some() for _ in range(20)))


async def main():
    await asyncio.wait_for(globals()[promise](), 60)


asyncio.run(main())
