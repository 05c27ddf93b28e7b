"""A pipeline drawn: as lines for a terminal, and as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from xml.sax.saxutils import escape

from orchestration.pipelines.checks import order
from orchestration.pipelines.spec import FromDataset, FromPath, FromStep, Pipeline

_BOX, _ROW, _COLUMN, _LANE, _EDGE = (150, 46), 84, 180, 60, 20
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
    """Draw a pipeline as an SVG 1.1 document, from the top down.

    A line over more than one layer has a place of its own in the layers between, so
    that it passes beside their boxes (Sugiyama and others, 1981).
    """
    nodes = nodes_of(pipeline)
    by_name = {node.name: node for node in nodes}
    lines = [_Line(by_name[one], node) for node in nodes for one in node.above]
    layers: list[list[_Place]] = [[] for _ in range(1 + max(n.layer for n in nodes))]
    for node in nodes:
        above = tuple(_Line(by_name[one], node).above_end for one in node.above)
        layers[node.layer].append(_Place(node.name, above, _COLUMN))
    for line in lines:
        for layer in range(line.start.layer + 1, line.end.layer):
            is_first = layer == line.start.layer + 1
            over = line.start.name if is_first else line.name
            layers[layer].append(_Place(line.name, (over,), _LANE))
    width = max(sum(place.width for place in row) for row in layers) + 2 * _EDGE
    middles: dict[tuple[str, int], float] = {}
    for layer, row in enumerate(layers):
        # Below what it comes from, so that few lines cross.
        row.sort(key=partial(_middle, layer - 1, middles))
        left = (width - sum(place.width for place in row)) / 2
        for place in row:
            middles[place.name, layer] = left + place.width / 2
            left += place.width
    height = _EDGE * 2 + (len(layers) - 1) * _ROW + _BOX[1]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" '
        f'height="{height:g}" viewBox="0 0 {width:g} {height:g}">',
        f"<style>{_STYLE}</style>",
    ]
    parts += [line.path(middles) for line in lines]
    for node in nodes:
        top = _EDGE + node.layer * _ROW
        parts.append(_box(node, (middles[node.name, node.layer], top), states))
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True)
class _Place:
    """Something in a layer: a box, or a line that passes."""

    name: str
    above: tuple[str, ...]
    width: float


@dataclass(frozen=True)
class _Line:
    start: Node
    end: Node

    @property
    def name(self) -> str:
        # A slash is in no step's name.
        return f"{self.start.name}/{self.end.name}"

    @property
    def above_end(self) -> str:
        """What stands in the layer above its end: itself, or where it starts."""
        is_short = self.end.layer - self.start.layer == 1
        return self.start.name if is_short else self.name

    def path(self, middles: Mapping[tuple[str, int], float]) -> str:
        """Draw it, straight through the layers that it passes."""
        x = middles[self.start.name, self.start.layer]
        y = _EDGE + self.start.layer * _ROW + _BOX[1]
        words = [f"M{x:g} {y:g}"]
        for layer in range(self.start.layer + 1, self.end.layer + 1):
            is_last = layer == self.end.layer
            to_x = middles[self.end.name if is_last else self.name, layer]
            to_y = _EDGE + layer * _ROW
            bend = (to_y - y) / 2
            words.append(
                f"C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}"
            )
            x, y = to_x, to_y
            if not is_last:
                y += _BOX[1]
                words.append(f"V{y:g}")
        return f'<path d="{"".join(words)}"/>'


def _middle(
    above: int, middles: Mapping[tuple[str, int], float], place: _Place
) -> float:
    return sum(middles[name, above] for name in place.above) / max(len(place.above), 1)


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
