"""``crm-bridge send``: a sample payload, signed by the scheme that the mapping declares."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import click
import httpx

from bridge.clock import now_ms
from bridge.commands.healthcheck import ANYWHERE
from bridge.errors import SettingError
from bridge.live import load
from bridge.receive.sign import Signed, sign
from bridge.settings import Settings

PATIENCE_S = 10.0

CONTENT_TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "nested_form": "application/x-www-form-urlencoded",
    "xml": "text/xml; charset=utf-8",
}


@click.command(help="Sign PAYLOAD (a file, or - for standard input) as SOURCE would, and post it.")
@click.argument("source")
@click.argument("payload", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--to", metavar="URL", help="The bridge's address. Default: this machine and PORT.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A further header.")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False),
    help="PEM private key, for sources that verify by a public key.",
)
@click.option(
    "--break-signature", is_flag=True, help="Spoil every credential; expects to be refused."
)
def command(
    source: str,
    payload: str,
    to: str | None,
    headers: tuple[str, ...],
    key: str | None,
    break_signature: bool,
) -> None:
    settings = Settings.current()
    body = sys.stdin.buffer.read() if payload == "-" else _read(payload)
    base = _base(to, settings)
    private = Path(key).read_bytes() if key else None
    signed = signed_for(settings, source, body, base, headers, private, spoil=break_signature)
    reply = post(base, signed)
    click.echo(f"HTTP {reply.status_code}  signed by {signed.scheme}")
    click.echo(reply.text)
    found = load(settings, only=source).sources[source]
    refused = reply.status_code == found.answer.refused_status
    if refused and not break_signature and not settings["BRIDGE_PUBLIC_URL"]:
        click.echo(
            f"BRIDGE_PUBLIC_URL is not set here, so the address that was signed is {base}. A "
            "signature over the URL passes only where the bridge has BRIDGE_PUBLIC_URL and both "
            "agree: set it here and for the bridge to the bridge's address as the CRM calls it.",
            err=True,
        )
    good = refused if break_signature else reply.is_success
    sys.exit(0 if good else 1)


def _base(to: str | None, settings: Settings) -> str:
    """Where the bridge listens: at ``to``, or on this machine."""
    host = ANYWHERE.get(settings["HOST"], settings["HOST"]).strip("[]")
    base = to or f"http://{f'[{host}]' if ':' in host else host}:{settings['PORT']}"
    with suppress(ValueError, httpx.InvalidURL):
        if urlsplit(base).scheme in ("http", "https") and httpx.URL(base).host:
            return base.rstrip("/")
    raise click.UsageError(f"{base} is no address. Write one such as http://127.0.0.1:8000.")


def signed_for(
    settings: Settings,
    source: str,
    body: bytes,
    base: str,
    headers: tuple[str, ...] = (),
    key: bytes | None = None,
    *,
    spoil: bool = False,
) -> Signed:
    """The request that the source's CRM would send. ``base``: where the bridge listens.

    What is signed is ``BRIDGE_PUBLIC_URL``, or ``base`` where that is not set. ``spoil``: every
    credential and signature is wrong.

    Errors: ``SettingError``, ``VerifyError`` where it cannot be signed.
    """
    sources = load(settings, only=source).sources
    if source not in sources:
        raise SettingError(f"there is no source {source}; there are {', '.join(sorted(sources))}.")
    found = sources[source]
    if found.missing:
        raise SettingError(f"{source} is not configured: set {', '.join(found.missing)}.")
    public = settings["BRIDGE_PUBLIC_URL"] or base
    given = {"Content-Type": CONTENT_TYPES[found.decode.value]}
    for header in headers:
        name, _, value = header.partition(":")
        given[name.strip()] = value.strip()
    return sign(
        found.verify,
        method="POST",
        url=f"{public.rstrip('/')}/hooks/{quote(source)}",
        body=body,
        now_ms=now_ms(),
        headers=given,
        private_key=key,
        spoil=spoil,
    )


def post(
    base: str,
    signed: Signed,
    patience_s: float = PATIENCE_S,
    http: httpx.Client | None = None,
) -> httpx.Response:
    """Post a signed request to the bridge at ``base``. ``http``: by this client."""
    parts = urlsplit(signed.url)
    url = base + parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in signed.headers.items()]
        post_by = http.post if http is not None else partial(httpx.post, trust_env=False)
        return post_by(url, content=signed.body, headers=headers, timeout=patience_s)
    except (UnicodeEncodeError, httpx.LocalProtocolError):
        raise click.UsageError("--header: HTTP has no header of that name or value.") from None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise click.ClickException(
            f"no answer from {base} ({type(error).__name__}). Is the bridge running?"
        ) from None
    except httpx.HTTPError as error:
        raise click.ClickException(
            f"no answer from {base} ({type(error).__name__}). It may have come in all the same: "
            "look at “crm-bridge deliveries” before you send it again."
        ) from None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
