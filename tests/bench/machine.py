"""Where and with what it was measured."""

import os
import platform
import re
import subprocess
import time

from programs import BIN, CORES, unpacked
from subjects import NODE

DEBIAN = {'libwebsocketpp-dev': 'websocketpp', 'libwebsockets-dev': 'libwebsockets',
          'libcpp-httplib-dev': 'cpp-httplib', 'liburing-dev': 'liburing', 'libfcgi-dev': 'libfcgi', 'libc6': 'glibc'}


def said(*command):
    """The first version number that a program prints; none: there is no such program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=10)
    except OSError:
        return ''
    found = re.search(r'\d+\.\d+[.\d]*', done.stdout + done.stderr)
    return found[0] if found else ''


def debian():
    try:
        out = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${Version}\n', *DEBIAN], capture_output=True, text=True).stdout
    except OSError:
        return {}
    pairs = (line.split() for line in out.splitlines() if ' ' in line)
    return {DEBIAN[name]: re.split('[-+~]', version)[0] for name, version in pairs}


def written(path, pattern):
    """The first match in a file; none: there is no such file."""
    try:
        with open(path) as file:
            found = re.search(pattern, file.read(), re.M)
    except OSError:
        return ''
    return found[1] if found else ''


def describe():
    versions = {'g++': said('g++', '-dumpfullversion'), 'nginx': said(unpacked('usr/sbin/nginx'), '-v'),
                'node': said(NODE, '--version'), 'wrk': said('wrk', '-v'), **debian(),
                'npm ws': written(os.path.join(os.path.dirname(BIN), 'node/node_modules/ws/package.json'), r'"version": "(.*)"'),
                'Boost': written('/usr/include/boost/version.hpp', r'BOOST_LIB_VERSION "(.*)"').replace('_', '.')}
    processor = written('/proc/cpuinfo', r'^model name\s*: (.*)') or platform.machine()
    used = ', '.join(f'{name} {version}' for name, version in versions.items() if version)
    load = os.getloadavg()[0]
    print(f'{time.strftime("%d %B %Y")}; {processor}, {len(CORES)} cores; Linux {platform.release()}; {used}\n'
          f'Load of the machine before it began: {load:.2f}{", so it is busy" if load > 0.3 else ""}')
