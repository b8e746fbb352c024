"""The cost of an operation against something that grows, with a plot for each."""

import statistics

import report
import subjects as known
from comparing import take_turns
from loads import Client, closed_loop, idle
from plots import Plot
from programs import CORES, LOAD_CORE, SERVER_CORE
from subjects import WEBSOCKET_CONNECTIONS, Subject, running

CONNECTIONS = (10, 100, 1000, 5000, 10000, 19000)
SIZES = (8, 64, 512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20)
IN_FLIGHT = (1, 2, 4, 8, 16, 32, 64)
COST = 'CPU time of the server per message, µs'

plots = []


class Curves:
    """The cost of each subject in each round, point by point."""

    def __init__(self, benchmark, title, names, points, drive, rounds, seconds):
        """drive(name, point, seconds). A round goes through all points, so that a slow minute of the machine bends no curve."""
        self.benchmark = benchmark
        keys = [(point, name) for point in points for name in names]
        cost, speed = take_turns(keys, lambda key, long: drive(key[1], key[0], long), rounds, seconds)
        self.costs = {name: {point: cost[point, name] for point in points} for name in names}
        self.speeds = {name: {point: speed[point, name] for point in points} for name in names}
        print(f'\n{title}: {rounds} rounds of {seconds:g} s\n'
              '  CPU time per message, µs, median (min … max), and the ratio to the floor')
        print(f'  {"":10}' + ''.join(f'{name:>34}' for name in names))
        for point in points:
            print(f'  {point:10}', end='')
            for name in names:
                self.note(point, name)
            print()

    def note(self, point, name):
        floor = 'floor hello' if name.endswith('hello') else 'floor'
        benchmark, values = f'{self.benchmark}-{point}', self.costs[name][point]
        middle = report.note(benchmark, name, 'cpu_us_per_op', values, self.cost(floor, point))
        report.note(benchmark, name, 'ops_per_second', self.speeds[name][point], self.rate(floor, point))
        text = f'{middle:.3f} ({min(values):.3f} … {max(values):.3f}) {middle / self.cost(floor, point):.2f}'
        print(f'{text:>34}', end='')

    def cost(self, name, point):
        return statistics.median(self.costs[name][point])

    def rate(self, name, point):
        return statistics.median(self.speeds[name][point])

    def draw(self, title, x_label, **how):
        plots.append((self.benchmark, Plot(title, x_label, COST, self.costs, **how)))


def connections(rounds, seconds, most):
    """At most 100 of the connections are active."""
    subjects = known.styles()
    with running(subjects) as servers:
        def drive(name, count, long):
            kind, active = subjects[name].kind, min(count, WEBSOCKET_CONNECTIONS)
            resting = idle(kind, servers[name], count - active)
            found = closed_loop(kind, servers[name], active, long)
            resting.close()
            return found
        points = [*(point for point in CONNECTIONS if point < most), most]
        curves = Curves('connections', f'WebSocket echo of 20 bytes, connections, at most {WEBSOCKET_CONNECTIONS} of them active',
                        subjects, points, drive, rounds, seconds)
    for name in subjects:
        if WEBSOCKET_CONNECTIONS < most:
            growth = curves.cost(name, most) / curves.cost(name, WEBSOCKET_CONNECTIONS)
            report.check(f'Growth of the cost from {WEBSOCKET_CONNECTIONS} to {most} connections, {name}', growth, 1.15)
    curves.draw('Echo of 20 bytes: cost and connections', f'connections, at most {WEBSOCKET_CONNECTIONS} of them active', x_log=10)


def sizes(rounds, seconds):
    subjects = known.styles('--max-message', '2m')
    with running(subjects) as servers:
        def drive(name, size, long):
            return closed_loop(subjects[name].kind, servers[name], 100 if size < 64 << 10 else 8, long, size)
        curves = Curves('size', 'WebSocket echo, bytes of a message; 100 connections, from 64 KiB on 8', subjects, SIZES, drive,
                        rounds, seconds)
    curves.draw('Echo: cost and size of the message', 'size of the message (100 connections, from 64 KiB on 8)',
                x_log=2, y_log=True, x_is_bytes=True)


def inflight(rounds, seconds):
    subjects = known.batching()
    with running(subjects) as servers:
        def drive(name, count, long):
            return closed_loop(subjects[name].kind, servers[name], WEBSOCKET_CONNECTIONS, long, in_flight=count)
        curves = Curves('inflight', f'WebSocket echo of 20 bytes, messages in flight; {WEBSOCKET_CONNECTIONS} connections',
                        subjects, IN_FLIGHT, drive, rounds, seconds)
    curves.draw('Echo of 20 bytes: cost and messages in flight',
                f'messages in flight on each of {WEBSOCKET_CONNECTIONS} connections', x_log=2, y_log=True)


def shared_cores(subject, server, workers, seconds):
    """As many loads as workers, each on a core that it shares with a worker. Like loads.closed_loop()."""
    loads = [Client('load', subject.kind, server, WEBSOCKET_CONNECTIONS, seconds, core=core)
             for core in (SERVER_CORE, LOAD_CORE)[:workers]]
    before = server.cpu()
    for load in loads:
        load.start()
    counts, times = zip(*(load.result() for load in loads))
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
    pairs = {name: Subject(subject.kind, [*subject.command, '2'] if name.startswith('floor') else subject.command)
             for name, subject in subjects.items()}
    with running(subjects) as alone, running(pairs, workers=2, core=f'{SERVER_CORE},{LOAD_CORE}') as both:
        def drive(name, count, long):
            return shared_cores(subjects[name], (alone if count == 1 else both)[name], count, long)
        curves = Curves('workers', f'Workers, each on a core that it shares with a load of {WEBSOCKET_CONNECTIONS} connections',
                        subjects, (1, 2), drive, rounds, seconds)
    for name in subjects:
        floor = 'floor hello' if name.endswith('hello') else 'floor'
        times = curves.rate(name, 2) / curves.rate(name, 1)
        report.note('workers', name, 'throughput_of_2_by_1', [times], curves.rate(floor, 2) / curves.rate(floor, 1))
        report.check(f'Operations per second of two workers by one, {name}', times, 1.8, at_least=True)
    curves.draw('Echo of 20 bytes and hello: cost and workers', 'workers, each on a core that it shares with its load', whole=True)


def sweep(part, rounds, seconds, most):
    if part == 'connections':
        return connections(rounds, seconds, most)
    return {'sizes': sizes, 'inflight': inflight, 'workers': workers}[part](rounds, seconds)


PARTS = ('connections', 'sizes', 'inflight', 'workers')
