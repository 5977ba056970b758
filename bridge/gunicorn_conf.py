"""gunicorn as the bridge runs it: ``gunicorn --config python:bridge.gunicorn_conf``."""

from bridge.settings import Settings

_settings = Settings.current()

wsgi_app = "bridge.app:create_app()"
bind = f"{_settings['HOST']}:{_settings['PORT']}"
workers = _settings["WEB_CONCURRENCY"]
worker_class = "bridge.server.Worker"
logger_class = "bridge.server.Log"
worker_connections = 1000
timeout = 60
graceful_timeout = 20
keepalive = _settings["BRIDGE_KEEPALIVE"]
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True
