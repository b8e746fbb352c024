"""nginx, one process: in front of gateway programs, or with an answer of its own."""

import os

from programs import LOAD_CORE, OUT, SERVER_CORE, Program, free_port, unpacked


def configured(name, connections, servers):
    """The command that runs these `server` blocks."""
    directory = os.path.join(OUT, name)
    os.makedirs(directory, exist_ok=True)
    modules = ('client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi')
    temporary = ''.join(f'{module}_temp_path {directory}/{module}; ' for module in modules)
    with open(os.path.join(directory, 'conf'), 'w') as file:
        file.write(f'daemon off; master_process off; pid {directory}/pid; error_log {directory}/errors;\n'
                   f'{"user root;" if os.getuid() == 0 else ""}\n'
                   f'events {{ worker_connections {connections}; }}\n'
                   f'http {{ access_log off; keepalive_requests 1000000000; {temporary}\n{servers}}}\n')
    return [unpacked('usr/sbin/nginx'), '-p', directory, '-c', file.name, '-e', os.path.join(directory, 'errors')]


class Nginx(Program):
    """On the core of the load, with a port for each back end. `kept`: whose connections stay."""

    def __init__(self, protocol, backends, kept):
        self.urls = {}
        parameters = unpacked(f'etc/nginx/{protocol}_params')
        servers = ''
        for name, backend in backends.items():
            port = free_port()
            self.urls[name] = f'http://127.0.0.1:{port}/'
            stay, keep = ('keepalive 64; keepalive_requests 1000000000;', 'fastcgi_keep_conn on;') if name in kept else ('', '')
            servers += (f'upstream to{port} {{ server 127.0.0.1:{backend.port}; {stay} }}\n'
                        f'server {{ listen 127.0.0.1:{port};\n'
                        f'location / {{ include {parameters}; {protocol}_pass to{port}; {keep} }} }}\n')
        super().__init__(LOAD_CORE, configured('nginx', 1024, servers), port)


class NginxHello(Program):
    """The server that is measured: it answers by itself."""

    def __init__(self):
        port = free_port()
        server = (f'server {{ listen 127.0.0.1:{port} backlog=4096; default_type "text/plain; charset=utf-8";\n'
                  'location / { return 200 "Hello, world!\\n"; } }\n')
        super().__init__(SERVER_CORE, configured('nginx-hello', 4096, server), port)
