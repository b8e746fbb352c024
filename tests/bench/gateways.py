"""Behind a web server: FastCGI, SCGI and uwsgi, against what else is there."""

import os
import statistics
import urllib.request

import report
from comparing import take_turns
from loads import ask_directly, wrk
from nginx import Nginx
from programs import BIN, SERVER_CORE, Program, unpacked


def peers(protocol):
    if protocol == 'fastcgi':
        return {'libfcgi, 16 threads': [os.path.join(BIN, 'bench/fcgiloop'), '{address}', '16']}
    uwsgi = [unpacked('usr/bin/uwsgi-core'), '--plugin', os.path.join(BIN, 'bench/uwsgihello_plugin.so'), '--disable-logging',
             '--listen', '1024', f'--{protocol}-socket', '{address}']
    return {'uWSGI, 4 processes': [*uwsgi, '--processes', '4'], 'uWSGI, 16 threads': [*uwsgi, '--threads', '16']}


def ask_in_turns(protocol, subjects, clients, through_nginx, kept, rounds, seconds):
    """Like take_turns(). `kept`: the subjects whose connections from nginx stay."""
    backends, nginx = {}, None
    try:
        for name, command in subjects.items():
            backends[name] = Program(SERVER_CORE, command)
        if through_nginx:
            nginx = Nginx(protocol, backends, kept)
            for name, url in nginx.urls.items():
                with urllib.request.urlopen(url) as reply:
                    if reply.read() != b'Hello, world!\n':
                        raise SystemExit(f'{name} answers something else')

        def drive(name, long):
            before = backends[name].cpu()
            if nginx:
                count, took = wrk(nginx.urls[name], clients, long)
            else:
                count, took = ask_directly(protocol, backends[name], clients, long)
            return count, took, backends[name].cpu() - before

        return take_turns(subjects, drive, rounds, seconds)
    finally:
        for program in (nginx, *backends.values()):
            if program:
                program.stop()


def gateway(protocol, clients, through_nginx, kept, rounds, seconds):
    listen = ('fcgi' if protocol == 'fastcgi' else protocol) + '://{address}'
    subjects = {**peers(protocol), 'postern': [os.path.join(BIN, 'hello'), '--listen', listen, '--workers', '1']}
    cost, speed = ask_in_turns(protocol, subjects, clients, through_nginx, kept, rounds, seconds)
    way = 'through nginx' if through_nginx else 'asked directly'
    stays = f' (keeps connections to {" and ".join(kept)})' if kept else ''
    title = f'{protocol} hello, {clients} clients, {way}'
    report.table(f'{protocol}-{"nginx" if through_nginx else "direct"}-{clients}',
                 f'{title}{stays}: {rounds} rounds of {seconds:g} s', cost, speed)
    best_cost = min(statistics.median(cost[name]) for name in peers(protocol))
    best_speed = max(statistics.median(speed[name]) for name in peers(protocol))
    report.check(f'{title}, CPU time × the better peer', statistics.median(cost['postern']) / best_cost, 1)
    report.check(f'{title}, operations per second × the better peer', statistics.median(speed['postern']) / best_speed, 2,
                 at_least=True)


def gateways(protocol, rounds, seconds):
    if protocol != 'fastcgi':
        gateway(protocol, 64, False, (), rounds, seconds)
        return gateway(protocol, 64, True, (), rounds, seconds)
    # A thread of the libfcgi program belongs to its connection while that stays: 16 threads, 16 clients.
    gateway(protocol, 16, False, (), rounds, seconds)
    everyone = (*peers(protocol), 'postern')
    gateway(protocol, 16, True, everyone, rounds, seconds)
    gateway(protocol, 64, True, ('postern',), rounds, seconds)


PARTS = ('fastcgi', 'scgi', 'uwsgi')
