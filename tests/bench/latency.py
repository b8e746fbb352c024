"""Latencies at a fixed rate: half of what the floor can do at its best, in the same run."""

import statistics

import report
import subjects as known
from comparing import in_turns
from loads import closed_loop, open_loop
from subjects import HTTP_CONNECTIONS, WEBSOCKET_CONNECTIONS, running

METRICS = ('p50_us', 'p99_us', 'p99.9_us', 'max_us')


def peak(subject, server, connections, seconds):
    runs = [closed_loop(subject.kind, server, connections, seconds) for _ in range(3)]
    return statistics.median(count / took for count, took, _ in runs)


def measure(benchmark, title, subjects, connections, rounds, seconds):
    latencies = {name: [] for name in subjects}
    with running(subjects) as servers:
        rate = round(peak(subjects['floor'], servers['floor'], connections, seconds) / 2)

        def drive(name, long):
            return open_loop(subjects[name].kind, servers[name], connections, long, rate)
        for name, (_, _, *found) in in_turns(subjects, drive, rounds, seconds):
            latencies[name].append(found)
    report.note(benchmark, 'floor', 'rate_per_second', [rate])
    print(f'\n{title}, {connections} connections, {rate} a second: {rounds} rounds of {seconds:g} s\n'
          '  latency in µs, median (min … max)')
    print(f'  {"":20}' + ''.join(f'{metric[:-3]:>34}' for metric in METRICS))
    floor = [statistics.median(column) for column in zip(*latencies['floor'])]
    for name, found in latencies.items():
        print(f'  {name:20}', end='')
        for metric, values, reference in zip(METRICS, zip(*found), floor):
            middle = report.note(benchmark, name, metric, values, reference)
            print(f'{middle:12.1f}{f"({min(values):.1f} … {max(values):.1f})":>22}', end='')
        print()
    for name, found in latencies.items():
        if name != 'floor':
            report.check(f'{title}, p99.9 of {name} × floor', statistics.median(row[2] for row in found) / floor[2], 1.2)


def latency(rounds, seconds):
    measure('latency-websocket', 'WebSocket echo of 20 bytes', known.styles(), WEBSOCKET_CONNECTIONS, rounds, seconds)
    hello = {name: subject for name, subject in known.http().items() if name in ('floor', 'postern')}
    measure('latency-http', 'HTTP hello', hello, HTTP_CONNECTIONS, rounds, seconds)
