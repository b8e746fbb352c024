"""The cost of an operation against something that grows, with a plot for each."""

import statistics

import report
import subjects as known
from comparing import measure, take_turns
from loads import Client, idle
from plots import Plot
from programs import CORES, LOAD_CORE, SERVER_CORE
from subjects import WEBSOCKET_CONNECTIONS, Subject, running

CONNECTIONS = (10, 100, 1000, 5000, 10000, 19000)
SIZES = (8, 64, 512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20)
IN_FLIGHT = (1, 2, 4, 8, 16, 32, 64)
COST = 'CPU time of the server per message, µs'

plots = []


class Curves:
    """What a sweep finds: the cost of each subject in each round, point by point."""

    def __init__(self, benchmark, title):
        self.benchmark = benchmark
        self.costs = {}
        print(f'\n{title}: CPU time per message, µs, median (min … max)')

    def add(self, x, cost, speed, label):
        floor = statistics.median(cost['floor'])
        print(f'  {label:>10}', end='')
        for name, values in cost.items():
            middle = report.note(f'{self.benchmark}-{x}', name, 'cpu_us_per_op', values, floor)
            report.note(f'{self.benchmark}-{x}', name, 'ops_per_second', speed[name], statistics.median(speed['floor']))
            self.costs.setdefault(name, {})[x] = values
            print(f'   {name} {middle:.3f} ({min(values):.3f} … {max(values):.3f})', end='')
        print(flush=True)

    def median(self, name, x):
        return statistics.median(self.costs[name][x])

    def draw(self, title, x_label, **how):
        plots.append((self.benchmark, Plot(title, x_label, COST, self.costs, **how)))


def connections(rounds, seconds, most):
    """At most 100 of the connections are active."""
    subjects = known.styles()
    curves = Curves('connections', f'WebSocket echo of 20 bytes, connections, at most {WEBSOCKET_CONNECTIONS} of them active')
    points = [*(x for x in CONNECTIONS if x < most), most]
    with running(subjects) as servers:
        for x in points:
            active = min(x, WEBSOCKET_CONNECTIONS)
            resting = [idle(subjects[name].kind, servers[name], x - active) for name in subjects]
            curves.add(x, *measure(subjects, servers, active, rounds, seconds), f'{x}')
            for client in resting:
                client.close()
    for name in subjects:
        if WEBSOCKET_CONNECTIONS < most:
            growth = curves.median(name, most) / curves.median(name, WEBSOCKET_CONNECTIONS)
            report.check(f'Growth of the cost from {WEBSOCKET_CONNECTIONS} to {most} connections, {name}', growth, 1.15)
    curves.draw('Echo of 20 bytes: cost and connections', f'connections, at most {WEBSOCKET_CONNECTIONS} of them active', x_log=10)


def sizes(rounds, seconds):
    subjects = known.styles('--max-message', '2m')
    curves = Curves('size', 'WebSocket echo, bytes of a message; 100 connections, from 64 KiB 8')
    with running(subjects) as servers:
        for x in SIZES:
            curves.add(x, *measure(subjects, servers, 100 if x < 64 << 10 else 8, rounds, seconds, x), f'{x}')
    curves.draw('Echo: cost and size of the message', 'size of the message (100 connections, from 64 KiB on 8)',
                x_log=2, y_log=True, x_is_bytes=True)


def inflight(rounds, seconds):
    subjects = known.batching()
    curves = Curves('inflight', f'WebSocket echo of 20 bytes, messages in flight; {WEBSOCKET_CONNECTIONS} connections')
    with running(subjects) as servers:
        for x in IN_FLIGHT:
            curves.add(x, *measure(subjects, servers, WEBSOCKET_CONNECTIONS, rounds, seconds, 20, x), f'{x}')
    curves.draw('Echo of 20 bytes: cost and messages in flight', f'messages in flight on each of {WEBSOCKET_CONNECTIONS} connections',
                x_log=2, y_log=True)


def shared_cores(subject, server, workers, seconds):
    """As many loads as workers, each with a core that it shares with a worker. Like loads.closed_loop()."""
    loads = [Client('load', subject.kind, server, WEBSOCKET_CONNECTIONS, seconds, core=core)
             for core in (SERVER_CORE, LOAD_CORE)[:workers]]
    before = server.cpu()
    for load in loads:
        load.start()
    counts, times, *_ = zip(*(load.result() for load in loads))
    cpu = server.cpu() - before
    for load in loads:
        load.close()
    return sum(counts), max(times), cpu


def workers(rounds, seconds):
    """One worker and its load on one core, against two workers and two loads on two: the load grows with the server."""
    if len(CORES) < 2:
        return print('\nworkers: this needs two cores')
    subjects = {**known.styles(), **known.chosen({
        'floor hello': Subject('http', ['bench/floor', 'http']),
        'postern hello': Subject('http', ['hello']),
    })}
    floor = {'postern hello': 'floor hello'}
    with running(subjects) as alone:
        pairs = {name: Subject(subject.kind, [*subject.command, '2'] if name.startswith('floor') else subject.command)
                 for name, subject in subjects.items()}
        with running(pairs, workers=2, core=f'{SERVER_CORE},{LOAD_CORE}') as both:
            keys = [(name, count) for name in subjects for count in (1, 2)]

            def drive(key, long):
                name, count = key
                return shared_cores(subjects[name], (alone if count == 1 else both)[name], count, long)
            cost, speed = take_turns(keys, drive, rounds, seconds)
    curves = Curves('workers', f'Workers, each on a core that it shares with a load of {WEBSOCKET_CONNECTIONS} connections')
    for count in (1, 2):
        curves.add(count, *({name: of[name, count] for name in subjects} for of in (cost, speed)), f'{count}')
    growth = {name: statistics.median(speed[name, 2]) / statistics.median(speed[name, 1]) for name in subjects}
    for name, times in growth.items():
        report.note('workers', name, 'throughput_of_2_by_1', [times], growth[floor.get(name, 'floor')])
        report.check(f'Operations per second of two workers by one, {name}', times, 1.8, at_least=True)
    curves.draw('Echo of 20 bytes and hello: cost and workers', 'workers, each on a core that it shares with its load', whole=True)


def sweep(part, rounds, seconds, most):
    if part == 'connections':
        return connections(rounds, seconds, most)
    return {'sizes': sizes, 'inflight': inflight, 'workers': workers}[part](rounds, seconds)


PARTS = ('connections', 'sizes', 'inflight', 'workers')
