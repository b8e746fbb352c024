"""The programs that take part in the benchmarks: what is measured has one core, the load and nginx the other."""

import glob
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

BIN = os.environ.get('POSTERN_BIN', os.path.abspath('build/bin'))
OUT = os.path.join(os.path.dirname(BIN), 'bench')
FOREIGN = os.environ.get('POSTERN_SERVERS', os.path.join(os.path.dirname(BIN), 'servers/root'))
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = str(CORES[0]), str(CORES[-1])


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
    """A program that serves HTTP and says where."""

    def __init__(self, command, wrapper=()):
        arguments = [os.path.join(BIN, command[0]), *command[1:]]
        if not command[0].startswith(('bench/', '/')) or command[0] == 'bench/counting':
            arguments += ['--listen', 'http://127.0.0.1:0', '--workers', '1']
        environment = {**os.environ, 'NODE_PATH': os.path.join(os.path.dirname(BIN), 'node/node_modules')}
        self.process = subprocess.Popen(['taskset', '-c', SERVER_CORE, *wrapper, *arguments],
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
        self.process.wait(60)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Load:
    """bench/load with its connections open."""

    def __init__(self, what, server, connections, *more):
        command = ['taskset', '-c', LOAD_CORE, os.path.join(BIN, 'bench/load'), what, server.port, str(connections), *more]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != 'ready\n':
            raise SystemExit('the load failed')

    def run(self):
        """Returns operations and seconds. The connections stay, so that their end costs the server nothing yet."""
        print(file=self.process.stdin, flush=True)
        count, took = self.process.stdout.readline().split() or ('0', '0')
        if count == '0':
            raise SystemExit('the load failed')
        return int(count), float(took)

    def close(self):
        self.process.communicate('\n')
        if self.process.returncode != 0:
            raise SystemExit('the load failed')


def wrk(url, connections, seconds):
    """Returns operations and seconds."""
    out = subprocess.run(['taskset', '-c', LOAD_CORE, 'wrk', '-t1', f'-c{connections}', f'-d{seconds}s', url],
                         check=True, capture_output=True, text=True).stdout
    done = re.search(r'(\d+) requests in ([\d.]+)(m?s|m)', out)
    if 'Socket errors' in out or 'Non-2xx' in out or not done:
        raise SystemExit(out)
    return int(done[1]), float(done[2]) * {'ms': 0.001, 's': 1, 'm': 60}[done[3]]


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
        self.port = port or free_port()
        arguments = [word.replace('{address}', f'127.0.0.1:{self.port}') for word in command]
        environment = {**os.environ, 'LD_LIBRARY_PATH': os.path.join(FOREIGN, 'usr/lib/x86_64-linux-gnu')}
        self.output = tempfile.TemporaryFile('w+')
        self.process = subprocess.Popen(['taskset', '-c', core, *arguments], stdin=subprocess.DEVNULL, stdout=self.output,
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
                return socket.create_connection(('127.0.0.1', self.port)).close()
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


class Nginx(Program):
    """nginx, one process on the core of the load, with a port for each back end. `kept`: whose connections stay."""

    def __init__(self, protocol, backends, kept):
        self.urls = {}
        directory = os.path.join(OUT, 'nginx')
        os.makedirs(directory, exist_ok=True)
        parameters = unpacked(f'etc/nginx/{protocol}_params')
        servers = ''
        for name, backend in backends.items():
            port = free_port()
            self.urls[name] = f'http://127.0.0.1:{port}/'
            stay, keep = ('keepalive 64; keepalive_requests 1000000000;', 'fastcgi_keep_conn on;') if name in kept else ('', '')
            servers += (f'upstream to{port} {{ server 127.0.0.1:{backend.port}; {stay} }}\n'
                        f'server {{ listen 127.0.0.1:{port};\n'
                        f'location / {{ include {parameters}; {protocol}_pass to{port}; {keep} }} }}\n')
        modules = ('client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi')
        temporary = ''.join(f'{module}_temp_path {directory}/{module}; ' for module in modules)
        with open(os.path.join(directory, 'conf'), 'w') as file:
            file.write(f'daemon off; master_process off; pid {directory}/pid; error_log {directory}/errors;\n'
                       f'{"user root;" if os.getuid() == 0 else ""}\n'
                       'events { worker_connections 1024; }\n'
                       f'http {{ access_log off; keepalive_requests 1000000000; {temporary}\n{servers}}}\n')
        errors = os.path.join(directory, 'errors')
        super().__init__(LOAD_CORE, [unpacked('usr/sbin/nginx'), '-p', directory, '-c', file.name, '-e', errors], port)


def ask_directly(protocol, backend, connections, seconds):
    """Returns operations and seconds."""
    done = subprocess.run(['taskset', '-c', LOAD_CORE, os.path.join(BIN, 'bench/gatewayload'), protocol, str(backend.port),
                           str(connections), str(seconds)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit('the load failed')
    count, took = done.stdout.split()
    return int(count), float(took)
