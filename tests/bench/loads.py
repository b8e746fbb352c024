"""The clients, on the core that the servers do not have."""

import os
import re
import subprocess

from programs import BIN, LOAD_CORE, pinned


class Client:
    """A program of ours with its connections open."""

    def __init__(self, program, kind, server, connections, *more, core=LOAD_CORE):
        command = [*pinned(core), os.path.join(BIN, 'bench', program), kind, server.port, str(connections), *map(str, more)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != 'ready\n':
            self.process.kill()
            raise SystemExit(f'the load failed: {" ".join(command)}')

    def start(self):
        print(file=self.process.stdin, flush=True)

    def result(self):
        """The numbers it prints. The connections stay, so that their end costs the server nothing yet."""
        numbers = [float(word) for word in self.process.stdout.readline().split()]
        if not numbers or numbers[0] == 0:
            raise SystemExit('the load failed')
        return numbers

    def run(self):
        self.start()
        return self.result()

    def close(self):
        self.process.communicate('\n')
        if self.process.returncode != 0:
            raise SystemExit('the load failed')


def idle(kind, server, connections, answers=0):
    return Client('idle', kind, server, connections, answers)


def closed_loop(kind, server, connections, seconds, size=20, in_flight=1, core=LOAD_CORE):
    """Returns operations, seconds, nanoseconds of the server."""
    load = Client('load', kind, server, connections, seconds, size, in_flight, core=core)
    before = server.cpu()
    count, took = load.run()
    cpu = server.cpu() - before
    load.close()
    return count, took, cpu


def open_loop(kind, server, connections, seconds, rate):
    """Returns operations, seconds, and the latencies p50, p99, p99.9 and the largest in microseconds."""
    load = Client('openloop', kind, server, connections, seconds, rate)
    numbers = load.run()
    load.close()
    return numbers


def wrk(url, connections, seconds):
    """Returns operations and seconds."""
    out = subprocess.run([*pinned(LOAD_CORE), 'wrk', '-t1', f'-c{connections}', f'-d{max(1, round(seconds))}s', url],
                         check=True, capture_output=True, text=True).stdout
    done = re.search(r'(\d+) requests in ([\d.]+)(m?s|m)', out)
    if 'Socket errors' in out or 'Non-2xx' in out or not done:
        raise SystemExit(out)
    return int(done[1]), float(done[2]) * {'ms': 0.001, 's': 1, 'm': 60}[done[3]]


def ask_directly(protocol, backend, connections, seconds):
    """Returns operations and seconds."""
    done = subprocess.run([*pinned(LOAD_CORE), os.path.join(BIN, 'bench/gatewayload'), protocol, str(backend.port),
                           str(connections), str(seconds)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit('the load failed')
    count, took = done.stdout.split()
    return int(count), float(took)
