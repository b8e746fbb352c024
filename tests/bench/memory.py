"""Resident memory of connections that rest."""

import time

import report
from loads import idle
from programs import Server

# benchmark, name for people, kind of the connections, command, target in bytes
KINDS = (
    ('idle-http', 'keep-alive HTTP', 'http', ['hello'], 400),
    ('idle-events', 'WebSocket, events', 'events', ['echo'], 400),
    ('idle-websocket', 'WebSocket in recv()', 'echo', ['echo'], 4608),
    ('idle-deflate', 'the same, compressed', 'deflate', ['echo', '--websocket-deflate', 'on'], None),
)
MORE_FOR_DEFLATE = 1024


def settled(server):
    """The resident memory when it has stopped changing: stacks at rest give pages back after a second."""
    last, since = server.resident(), time.monotonic()
    while time.monotonic() - since < 3:
        time.sleep(0.25)
        now = server.resident()
        if abs(now - last) > 64 * 1024:
            last, since = now, time.monotonic()
    return last


def bytes_each(kind, command, connections):
    with Server(command) as server:
        idle(kind, server, 10, answers=1).close()  # what only the first connections cost
        before = settled(server)
        load = idle(kind, server, connections, answers=1)
        each = (settled(server) - before) / connections
        load.close()
    return each


def memory(connections):
    print(f'\nResident memory of an idle connection that has had an answer or an echo, {connections} connections, bytes')
    found = {}
    for benchmark, name, kind, command, target in KINDS:
        found[benchmark] = each = bytes_each(kind, command, connections)
        report.note(benchmark, 'postern', 'resident_bytes', [each])
        report.check(f'Memory, {name}', each, target or found['idle-websocket'] + MORE_FOR_DEFLATE, digits=0)
