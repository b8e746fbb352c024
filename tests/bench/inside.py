"""What an operation consists of: system calls, allocations, instructions."""

import os
import re
import shutil
import signal
import subprocess
import urllib.request

import report
from loads import Client, closed_loop
from programs import OUT, Server
from subjects import HTTP_CONNECTIONS, WEBSOCKET_CONNECTIONS

# name for people, kind of the load, connections, the floor's command, ours
OPERATIONS = {
    'http': ('HTTP hello', 'http', HTTP_CONNECTIONS, ['bench/floor', 'http'], ['hello']),
    'websocket': ('WebSocket echo of 20 bytes', 'echo', WEBSOCKET_CONNECTIONS, ['bench/floor', 'websocket'], ['echo']),
}


def traced(benchmark):
    """System calls per operation while the load runs, and what strace -c says of them."""
    _, kind, connections, _, command = OPERATIONS[benchmark]
    with Server(command) as server:
        path = os.path.join(OUT, f'strace-{benchmark}')
        load = Client('load', kind, server, connections, 2)
        tracer = subprocess.Popen(['strace', '-f', '-c', '-U', 'calls,errors,name', '-o', path, '-p', str(server.process.pid)],
                                  stderr=subprocess.PIPE, text=True)
        if 'attached' not in (said := tracer.stderr.readline()):
            raise SystemExit(f'strace cannot attach: {said}')
        count, _ = load.run()
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
        load.close()
    with open(path) as file:
        text = file.read()
    calls = {name: int(number) for number, name in re.findall(r'^ +(\d+)(?: +\d+)? +(\w+)$', text, re.M) if name != 'total'}
    return count, calls, text


def allocations(benchmark):
    """Of an operation, by a program that counts them."""
    _, kind, connections, *_ = OPERATIONS[benchmark]
    with Server(['bench/counting']) as server:
        def so_far():
            with urllib.request.urlopen(server.url + '/count') as reply:
                return int(reply.read())
        closed_loop(kind, server, connections, 1)
        load = Client('load', kind, server, connections, 1)
        before = so_far()
        count, _ = load.run()
        each = (so_far() - before) / count
        load.close()
    return each


def calls():
    for benchmark, (title, *_) in OPERATIONS.items():
        count, found, text = traced(benchmark)
        print(f'\n{title}: strace -c of {count:.0f} operations\n')
        print(text.rstrip())
        for name, number in found.items():
            report.note(benchmark, 'postern', f'calls_{name}', [number / count])
        usual = {name: number / count for name, number in found.items() if number * 500 > count}
        print('per operation: ' + ', '.join(f'{name} {each:.3f}' for name, each in usual.items()))
        each = allocations(benchmark)
        report.note(benchmark, 'postern', 'allocations', [each])
        print(f'allocations per operation: {each:.3f}')


def instructions_of(command, kind, connections, seconds, name):
    """Operations and instructions of a server that was under load for so long."""
    path = os.path.join(OUT, f'callgrind-{name}')
    with Server(command, wrapper=['valgrind', '--tool=callgrind', f'--callgrind-out-file={path}']) as server:
        count = closed_loop(kind, server, connections, seconds)[0] if seconds else 0
        server.stop()
    with open(path) as file:
        return count, int(re.search(r'^(?:summary|totals): (\d+)', file.read(), re.M)[1])


def instructions():
    if not shutil.which('valgrind'):
        return print('\ninstructions: valgrind is not installed')
    for benchmark, (title, kind, connections, *commands) in OPERATIONS.items():
        floor = None
        print(f'\n{title}: instructions in user space per operation')
        for name, command in zip(('floor', 'postern'), commands):
            _, at_rest = instructions_of(command, kind, connections, 0, f'{benchmark}-{name}-idle')
            count, total = instructions_of(command, kind, connections, 4, f'{benchmark}-{name}-loaded')
            each = (total - at_rest) / count
            floor = floor or each
            report.note(benchmark, name, 'user_instructions_per_op', [each], floor)
            print(f'  {name:10}{each:8.0f}')
