"""The programs that are measured, and what they cost."""

import glob
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ.get('POSTERN_BIN', os.path.abspath('build/bin'))
OUT = os.path.join(os.path.dirname(BIN), 'bench')
FOREIGN = os.environ.get('POSTERN_SERVERS', os.path.join(os.path.dirname(BIN), 'servers/root'))
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = str(CORES[0]), str(CORES[-1])


before_others = False  # real-time: what else runs on the machine waits


def pinned(core):
    return [*(('chrt', '-f', '1') if before_others else ()), 'taskset', '-c', core]


def cpu_of(pid):
    """Nanoseconds on a processor so far of a process and its children, from the scheduler's own accounting."""
    total = 0
    for path in glob.glob(f'/proc/{pid}/task/*/schedstat'):
        with open(path) as file:
            total += int(file.read().split()[0])
    for path in glob.glob(f'/proc/{pid}/task/*/children'):
        with open(path) as file:
            total += sum(map(cpu_of, file.read().split()))
    return total


class Server:
    """A program that serves HTTP and says where. Postern's own are asked to listen."""

    def __init__(self, command, workers=1, core=SERVER_CORE, wrapper=()):
        arguments = [os.path.join(BIN, command[0]), *command[1:]]
        if not command[0].startswith(('bench/', '/')) or command[0] == 'bench/counting':
            arguments += ['--listen', 'http://127.0.0.1:0', '--workers', str(workers)]
        environment = {**os.environ, 'NODE_PATH': os.path.join(os.path.dirname(BIN), 'node/node_modules')}
        self.process = subprocess.Popen([*pinned(core), *wrapper, *arguments],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise SystemExit(f'{" ".join(arguments)} did not start')
        self.port = self.url.rsplit(':', 1)[1].strip('/')

    def cpu(self):
        return cpu_of(self.process.pid)

    def resident(self):
        with open(f'/proc/{self.process.pid}/smaps_rollup') as file:
            return int(re.search(r'^Rss: +(\d+)', file.read(), re.M)[1]) * 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def unpacked(path):
    """A file of Debian's web servers: below FOREIGN, or installed."""
    below = os.path.join(FOREIGN, path)
    return below if os.path.exists(below) else '/' + path


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]


class Program:
    """A program that listens on a port of loopback, with all its processes; {address} in its command is the place."""

    def __init__(self, core, command, port=None):
        self.port = str(port or free_port())
        arguments = [word.replace('{address}', f'127.0.0.1:{self.port}') for word in command]
        environment = {**os.environ, 'LD_LIBRARY_PATH': os.path.join(FOREIGN, 'usr/lib/x86_64-linux-gnu')}
        self.output = tempfile.TemporaryFile('w+')
        self.process = subprocess.Popen([*pinned(core), *arguments], stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=self.output, env=environment, start_new_session=True)
        try:
            self.wait(' '.join(arguments))
        except BaseException:
            self.stop()
            raise

    def wait(self, called):
        until = time.monotonic() + 20
        while True:
            try:
                return socket.create_connection(('127.0.0.1', int(self.port))).close()
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > until:
                    self.output.seek(0)
                    raise SystemExit(f'{called} did not start:\n{self.output.read()}')
                time.sleep(0.05)

    def cpu(self):
        return cpu_of(self.process.pid)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)  # libfcgi keeps SIGTERM to itself
        self.process.wait()
        self.output.close()
