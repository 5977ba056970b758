"""gunicorn as the bridge runs it: ``gunicorn --config python:bridge.gunicorn_conf``."""

from typing import Any

from bridge import logs
from bridge.settings import Settings
from bridge.unknown_settings import warn_of_unknown_settings

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


def post_worker_init(worker: Any) -> None:
    """Called in each process that has loaded the application; the first says that all is ready."""
    live = getattr(worker.wsgi, "extensions", {}).get("mappings")
    if worker.age > 1 or live is None:  # None: another application under this configuration
        return
    log = logs.get("web")
    warn_of_unknown_settings(_settings, log)
    host, port, *_ = worker.sockets[0].getsockname()
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    found = live.current()
    lacking = [
        kind
        for kind, all_ in (("source", found.sources), ("campaign", found.campaigns))
        if not any(one.configured for one in all_.values())
    ]
    if lacking:
        log.warning(
            "web is ready, but nothing can be taken in and sent yet",
            listening=where,
            problem=f"no {' and no '.join(lacking)} is configured",
            advice="“crm-bridge mapping check” tells what is missing",
        )
    else:
        log.info("web is ready", listening=where)
