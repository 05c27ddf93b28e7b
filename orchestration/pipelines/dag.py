"""A pipeline drawn: as lines for a terminal, and as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from orchestration.pipelines.checks import order
from orchestration.pipelines.spec import FromDataset, FromPath, FromStep, Pipeline

_BOX, _ROW, _COLUMN, _EDGE = (150, 46), 74, 210, 20
_FILLS = {"cached": "#e8eef4", "runs": "#fde9c9", "waits": "#fdf6e6", None: "#ffffff"}
_STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:13px;fill:#1f2933}"
    ".small{font-size:11px;fill:#52606d}"
    "path{fill:none;stroke:#7b8794;stroke-width:1.5}"
    "rect{stroke:#52606d;stroke-width:1.2}"
)


@dataclass(frozen=True)
class Node:
    """A step, or something from outside that steps read.

    Attributes:
        name: Its name.
        above: What it reads from.
        layer: How many steps are above it at most.
        outside: It is no step.
    """

    name: str
    above: tuple[str, ...]
    layer: int
    outside: bool = False


def nodes_of(pipeline: Pipeline) -> list[Node]:
    """Give the steps in order, each below what it reads."""
    found: dict[str, Node] = {}
    for name in order(pipeline):
        above = []
        for _, source in sorted(pipeline.steps[name].inputs.items()):
            match source:
                case FromStep():
                    above.append(source.step)
                case FromPath():
                    above.append(source.path)
                    found.setdefault(source.path, Node(source.path, (), 0, True))
                case FromDataset():
                    above.append(source.dataset)
                    found.setdefault(source.dataset, Node(source.dataset, (), 0, True))
        names = tuple(dict.fromkeys(above))
        layer = max((found[one].layer + 1 for one in names), default=0)
        found[name] = Node(name, names, layer)
    return list(found.values())


def as_lines(pipeline: Pipeline, states: Mapping[str, str]) -> list[str]:
    """Draw a pipeline as a tree of lines.

    A step hangs below the last of the steps that it reads; the others are named.
    """
    nodes = [node for node in nodes_of(pipeline) if not node.outside]
    names = [node.name for node in nodes]
    parents = {
        node.name: max(
            (one for one in node.above if one in names), key=names.index, default=None
        )
        for node in nodes
    }
    by_name = {node.name: node for node in nodes}
    lines: list[str] = []

    def draw(name: str, prefix: str, branch: str, below: str) -> None:
        others = [one for one in by_name[name].above if one != parents[name]]
        also = f"  <- {', '.join(others)}" if others else ""
        state = f"  [{states[name]}]" if name in states else ""
        lines.append(f"{prefix}{branch}{name}{state}{also}")
        children = [one for one in names if parents[one] == name]
        for child in children:
            is_last = child == children[-1]
            draw(
                child,
                prefix + below,
                "└─ " if is_last else "├─ ",
                "   " if is_last else "│  ",
            )

    for name in names:
        if parents[name] is None:
            draw(name, "", "", "")
    return lines


def as_svg(pipeline: Pipeline, states: Mapping[str, str]) -> str:
    """Draw a pipeline as an SVG 1.1 document, from the top down."""
    nodes = nodes_of(pipeline)
    layers: dict[int, list[Node]] = {}
    for node in nodes:
        layers.setdefault(node.layer, []).append(node)
    width = max(len(row) for row in layers.values()) * _COLUMN + _EDGE
    places: dict[str, tuple[float, float]] = {}
    for layer, row in sorted(layers.items()):
        if layer:
            # Below what it reads, so that few lines cross.
            row.sort(key=lambda node: _middle(node.above, places))
        left = (width - len(row) * _COLUMN) / 2
        for index, node in enumerate(row):
            places[node.name] = (left + (index + 0.5) * _COLUMN, _EDGE + layer * _ROW)
    height = _EDGE * 2 + max(layers, default=0) * _ROW + _BOX[1]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" '
        f'height="{height:g}" viewBox="0 0 {width:g} {height:g}">',
        f"<style>{_STYLE}</style>",
    ]
    for node in nodes:
        parts += [_line(places[one], places[node.name]) for one in node.above]
    parts += [_box(node, places[node.name], states) for node in nodes]
    return "\n".join([*parts, "</svg>", ""])


def _middle(names: Sequence[str], places: Mapping[str, tuple[float, float]]) -> float:
    return sum(places[name][0] for name in names) / max(len(names), 1)


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0, x1, y1 = start[0], start[1] + _BOX[1], end[0], end[1]
    bend = (y1 - y0) / 2
    return (
        f'<path d="M{x0:g} {y0:g}C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} '
        f'{x1:g} {y1:g}"/>'
    )


def _box(node: Node, place: tuple[float, float], states: Mapping[str, str]) -> str:
    x, y = place[0] - _BOX[0] / 2, place[1]
    state = states.get(node.name)
    shown = node.name if len(node.name) <= 20 else f"...{node.name[-17:]}"
    dashes = ' stroke-dasharray="4 3"' if node.outside else ""
    text_y = y + (27 if state is None else 20)
    box = (
        f'<rect x="{x:g}" y="{y:g}" width="{_BOX[0]}" height="{_BOX[1]}" rx="6" '
        f'fill="{_FILLS[state]}"{dashes}/>'
        f'<text x="{place[0]:g}" y="{text_y:g}" text-anchor="middle">'
        f"<title>{escape(node.name)}</title>{escape(shown)}</text>"
    )
    if state is not None:
        box += (
            f'<text class="small" x="{place[0]:g}" y="{y + 36:g}" '
            f'text-anchor="middle">{escape(state)}</text>'
        )
    return box
