"""Servers under the same load, which take turns."""

import statistics

import report
import subjects as known
from loads import closed_loop
from programs import SERVER_CORE
from subjects import HTTP_CONNECTIONS, WEBSOCKET_CONNECTIONS, running


def in_turns(names, drive, rounds, seconds):
    """Yields the name and what drive(name, seconds) returns, `rounds` times for each."""
    for name in names:
        drive(name, min(1, seconds))  # warms up
    for turn in range(rounds):
        # Who goes first changes, so that a slow moment of the machine is nobody's fate.
        order = list(names)
        first = turn // 2 % len(order)
        for name in (order[first:] + order[:first])[:: 1 if turn % 2 == 0 else -1]:
            yield name, drive(name, seconds)


def take_turns(names, drive, rounds, seconds):
    """Returns the CPU time of an operation in µs and the operations per second of each subject, in each round."""
    cost, speed = {name: [] for name in names}, {name: [] for name in names}
    for name, (count, took, cpu) in in_turns(names, drive, rounds, seconds):
        cost[name].append(cpu / count / 1000)
        speed[name].append(count / took)
    return cost, speed


def compare(benchmark, title, subjects, connections, rounds, seconds, **how):
    """One load for all, and a table; returns the medians of cost and of speed. `how`: see closed_loop()."""
    with running(subjects) as servers:
        def drive(name, long):
            return closed_loop(subjects[name].kind, servers[name], connections, long, **how)
        cost, speed = take_turns(subjects, drive, rounds, seconds)
    report.table(benchmark, f'{title}: {rounds} rounds of {seconds:g} s', cost, speed)
    return tuple({name: statistics.median(values) for name, values in of.items()} for of in (cost, speed))


def check_ratios(title, cost, target, to='floor'):
    for name in cost:
        if name.startswith('postern') and to in cost:
            report.check(f'{title}, CPU time of {name} × {to}', cost[name] / cost[to], target)


def http(rounds, seconds):
    title = f'HTTP hello, {HTTP_CONNECTIONS} connections'
    cost, _ = compare('http', title, known.http(), HTTP_CONNECTIONS, rounds, seconds)
    check_ratios(title, cost, 1.08)
    # Where the load has a core of its own, most servers wait for it. Where it shares theirs, a cheaper server answers more.
    title += ', the load on the same core'
    _, speed = compare('http-one-core', title, known.http(), HTTP_CONNECTIONS, rounds, seconds, core=SERVER_CORE)
    peers = {name: rate for name, rate in speed.items() if name not in ('floor', 'postern')}
    if peers and 'postern' in speed:
        fastest = max(peers, key=peers.get)
        report.check(f'{title}, operations per second × {fastest}', speed['postern'] / peers[fastest], 1, at_least=True)


def websocket(rounds, seconds):
    for connections, subjects in ((WEBSOCKET_CONNECTIONS, known.websocket()), (1000, {**known.styles(), **known.io_uring()})):
        title = f'WebSocket echo of 20 bytes, {connections} connections'
        cost, _ = compare(f'websocket-{connections}', title, subjects, connections, rounds, seconds)
        check_ratios(title, cost, 1.03)


def pipelined(rounds, seconds):
    title = 'HTTP hello, 16 pipelined requests in flight'
    batching = {name: subject for name, subject in known.http().items() if name != 'cpp-httplib'}
    cost, _ = compare('http-inflight-16', title, batching, HTTP_CONNECTIONS, rounds, seconds, in_flight=16)
    check_ratios(title, cost, 1.5)
    title = 'WebSocket echo of 20 bytes, 16 in flight'
    cost, _ = compare('websocket-inflight-16', title, known.batching(), WEBSOCKET_CONNECTIONS, rounds, seconds, in_flight=16)
    check_ratios(title, cost, 1.06)


def large(rounds, seconds):
    for size, connections in ((16 << 10, 100), (1 << 20, 8)):
        title = f'WebSocket echo of {size >> 10} KiB, {connections} connections'
        subjects = known.styles('--max-message', '2m')
        cost, _ = compare(f'websocket-{size}-bytes', title, subjects, connections, rounds, seconds, size=size)
        check_ratios(title, cost, 1.1)


def deflate(rounds, seconds):
    title = 'WebSocket echo of 1 KiB of JSON, compressed, 100 connections'
    cost, _ = compare('deflate', title, known.deflate(), WEBSOCKET_CONNECTIONS, rounds, seconds, size=1024)
    check_ratios(title, cost, 1 / 3, 'npm ws')
    check_ratios(title, cost, 1, 'Beast')
