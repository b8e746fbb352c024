"""Who is compared: the servers of each kind, by the names that the report has."""

import contextlib
import functools
import os
import shutil
import subprocess

from nginx import NginxHello
from programs import BIN, HERE, Server

NODE = shutil.which('node') or 'node'
HTTP_CONNECTIONS, WEBSOCKET_CONNECTIONS = 64, 100

only = []  # words that the names of the subjects must have


class Subject:
    """A way to start a server, and the load it is asked with."""

    def __init__(self, kind, command):
        self.kind, self.command = kind, command

    def start(self, **how):
        return self.command() if callable(self.command) else Server(self.command, **how)


def script(name, *arguments):
    return [NODE, os.path.join(HERE, name), *arguments]


def http():
    return chosen({
        'floor': Subject('http', ['bench/floor', 'http']),
        'postern': Subject('http', ['hello']),
        'Beast': Subject('http', ['bench/beasthello']),
        'nginx': Subject('http', NginxHello),
        'node': Subject('http', script('nodehello.js')),
        'cpp-httplib': Subject('http', ['bench/httplibhello', str(HTTP_CONNECTIONS + 16)]),
    })


def styles(*options):
    """The floor, and Postern's two ways to write an echo."""
    return chosen({
        'floor': Subject('echo', ['bench/floor', 'websocket']),
        'postern recv': Subject('echo', ['echo', *options]),
        'postern events': Subject('events', ['echo', *options]),
    })


@functools.cache
def io_uring():
    """The floor on io_uring. Where the kernel does not allow that, it is left out, and a line says so."""
    subjects = chosen({'floor io_uring': Subject('echo', ['bench/uringfloor'])})
    for name, subject in subjects.items():
        tried = subprocess.run([os.path.join(BIN, *subject.command), 'check'], stderr=subprocess.PIPE, text=True)
        if tried.returncode != 0:
            print(f'\n{name} is left out: {tried.stderr.strip()}')
            return {}
    return subjects


def websocket():
    return {**styles(), **io_uring(), **chosen({
        'Beast': Subject('echo', ['bench/beastecho', 'off']),
        'websocketpp': Subject('echo', ['bench/websocketppecho']),
        'libwebsockets': Subject('echo', ['bench/lwsecho']),
        'npm ws': Subject('echo', script('wsecho.js', 'off')),
    })}


def batching():
    """Beast is here to show what it means not to batch."""
    return {name: subject for name, subject in websocket().items() if name.startswith(('floor', 'postern', 'Beast'))}


def deflate():
    return chosen({
        'npm ws': Subject('deflate', script('wsecho.js', 'on')),
        'Beast': Subject('deflate', ['bench/beastecho', 'on']),
        'postern recv': Subject('deflate', ['echo', '--websocket-deflate', 'on']),
    })


def chosen(subjects):
    """The floor always stays: the others are compared with it."""
    return {name: subject for name, subject in subjects.items()
            if not only or name == 'floor' or any(word in name for word in only)}


@contextlib.contextmanager
def running(subjects, **how):
    """The servers by name; they end with the block."""
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, subject in subjects.items():
            servers[name] = subject.start(**how)
            stack.callback(servers[name].stop)
        yield servers
