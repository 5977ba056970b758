"""Metrics as Prometheus reads them: the text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. Written by hand,
since a library takes ten times as long for it, and the web process takes no webhook meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.operate.metrics.families import FAMILIES, Family
from bridge.operate.metrics.reading import Curve, Labels, Samples

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def written(samples: Samples) -> bytes:
    """All samples, in the order in which the metrics are declared."""
    lines: list[str] = []
    for family in FAMILIES:
        if found := samples.get(family.name):
            lines.append(f"# HELP {family.name} {_escaped(family.help)}")
            lines.append(f"# TYPE {family.name} {family.kind.value}")
            for labels, value in found.items():
                shown = _labels(family, labels)
                if isinstance(value, Curve):
                    lines += _curve(family.name, shown, value)
                else:
                    lines.append(f"{family.name}{_braces(shown)} {_number(value)}")
    return ("\n".join(lines) + "\n").encode()


def _curve(name: str, labels: str, curve: Curve) -> Iterator[str]:
    before = f"{labels}," if labels else ""
    for bound, count in curve.up_to:
        yield f'{name}_bucket{{{before}le="{_number(bound)}"}} {count}'
    yield f"{name}_sum{_braces(labels)} {_number(curve.total)}"
    yield f"{name}_count{_braces(labels)} {curve.up_to[-1][1]}"


def _labels(family: Family, values: Labels) -> str:
    pairs = zip(family.labels, values, strict=True)
    return ",".join(f'{name}="{_quoted(value)}"' for name, value in pairs)


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(value: float) -> str:
    """As short as it can be read back; a whole number without a fraction."""
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)
