"""The pictures of the practice model: flat icons on plain backgrounds, drawn by this program and nothing
else.

A `Scene` says what is on a picture; `draw` paints it. Shapes are written in a frame where the icon fills the
square from (-1, -1) to (1, 1), y pointing down, so that size, place and tilt are one affine map for all of
them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter

PICTURE_PX = 64
SUPERSAMPLING = 3

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "orange": (240, 140, 40),
    "yellow": (245, 212, 66),
    "green": (64, 160, 80),
    "teal": (48, 176, 176),
    "blue": (56, 104, 208),
    "purple": (136, 72, 176),
    "pink": (240, 144, 184),
    "brown": (128, 84, 52),
    "black": (40, 40, 44),
    "gray": (150, 150, 156),
    "white": (240, 240, 236),
}

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """What one picture shows; `size` is the icon's half extent in half frames, `x` and `y` its centre in
    -1..1.
    """

    icon: str
    colour: str
    background: str
    size: float = 0.62
    x: float = 0.0
    y: float = 0.0
    tilt: float = 0.0
    shading: float = 0.0
    shadow: bool = True


class Brush:
    """Paints shapes of the unit frame onto a picture through one affine map."""

    def __init__(self, image: Image.Image, scene: Scene) -> None:
        self._draw = ImageDraw.Draw(image)
        half = image.width / 2
        self._centre = (half * (1 + scene.x), half * (1 + scene.y))
        self._scale = half * scene.size
        self._cos, self._sin = math.cos(scene.tilt), math.sin(scene.tilt)

    def _place(self, point: Point) -> Point:
        x, y = point
        return (
            self._centre[0] + self._scale * (x * self._cos - y * self._sin),
            self._centre[1] + self._scale * (x * self._sin + y * self._cos),
        )

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        self._draw.polygon([self._place(p) for p in points], fill=fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        turn = [2 * math.pi * k / 40 for k in range(40)]
        self.polygon([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in turn], fill)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)


def _shade(colour: Colour, factor: float) -> Colour:
    """`colour` darkened (factor below 1) or moved towards white (above 1)."""
    if factor <= 1:
        return tuple(int(c * factor) for c in colour)  # type: ignore[return-value]
    return tuple(int(c + (255 - c) * (factor - 1)) for c in colour)  # type: ignore[return-value]


def _star_points(tips: int, inner: float) -> list[Point]:
    points = []
    for k in range(2 * tips):
        radius = 1.0 if k % 2 == 0 else inner
        angle = -math.pi / 2 + math.pi * k / tips
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return points


def _heart_points() -> list[Point]:
    points = []
    for k in range(60):
        t = 2 * math.pi * k / 60
        x = math.sin(t) ** 3
        y = (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16
        points.append((x, -y))
    return points


DARK: Colour = (48, 44, 48)
LIGHT: Colour = (246, 244, 238)


def _square(b: Brush, c: Colour, _: Colour) -> None:
    b.rectangle(-0.85, -0.85, 0.85, 0.85, c)


def _circle(b: Brush, c: Colour, _: Colour) -> None:
    b.ellipse(0, 0, 0.95, 0.95, c)


def _triangle(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon([(0, -0.95), (0.98, 0.85), (-0.98, 0.85)], c)


def _star(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon(_star_points(5, 0.42), c)


def _heart(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon(_heart_points(), c)


def _diamond(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon([(0, -1), (0.72, 0), (0, 1), (-0.72, 0)], c)


def _ring(b: Brush, c: Colour, background: Colour) -> None:
    b.ellipse(0, 0, 0.98, 0.98, c)
    b.ellipse(0, 0, 0.52, 0.52, background)


def _cross(b: Brush, c: Colour, _: Colour) -> None:
    b.rectangle(-0.32, -0.95, 0.32, 0.95, c)
    b.rectangle(-0.95, -0.32, 0.95, 0.32, c)


def _moon(b: Brush, c: Colour, background: Colour) -> None:
    b.ellipse(-0.1, 0, 0.95, 0.95, c)
    b.ellipse(0.35, -0.15, 0.75, 0.75, background)


def _drop(b: Brush, c: Colour, _: Colour) -> None:
    b.ellipse(0, 0.32, 0.66, 0.66, c)
    b.polygon([(0, -1), (0.6, 0.05), (-0.6, 0.05)], c)


def _cloud(b: Brush, c: Colour, _: Colour) -> None:
    b.ellipse(-0.5, 0.15, 0.46, 0.42, c)
    b.ellipse(0.5, 0.15, 0.46, 0.42, c)
    b.ellipse(0, -0.15, 0.52, 0.52, c)
    b.rectangle(-0.5, 0.1, 0.5, 0.57, c)


def _tree(b: Brush, c: Colour, _: Colour) -> None:
    b.rectangle(-0.16, 0.4, 0.16, 1.0, COLOURS["brown"])
    b.polygon([(0, -1), (0.62, -0.1), (-0.62, -0.1)], c)
    b.polygon([(0, -0.5), (0.82, 0.55), (-0.82, 0.55)], c)


def _flower(b: Brush, c: Colour, _: Colour) -> None:
    for k in range(6):
        angle = math.pi * k / 3
        b.ellipse(0.58 * math.cos(angle), 0.58 * math.sin(angle), 0.38, 0.38, c)
    b.ellipse(0, 0, 0.34, 0.34, _shade(COLOURS["yellow"], 1.2))


def _balloon(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon([(-0.04, 0.4), (0.04, 0.4), (0.1, 1.0), (0.02, 1.0)], DARK)
    b.ellipse(0, -0.28, 0.64, 0.72, c)
    b.polygon([(0, 0.36), (0.15, 0.56), (-0.15, 0.56)], c)


def _car(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon([(-0.5, -0.5), (0.35, -0.5), (0.62, 0), (-0.7, 0)], c)
    b.polygon([(-0.4, -0.38), (0.28, -0.38), (0.44, -0.04), (-0.52, -0.04)], LIGHT)
    b.rectangle(-0.98, 0, 0.98, 0.42, c)
    b.ellipse(-0.5, 0.46, 0.25, 0.25, DARK)
    b.ellipse(0.5, 0.46, 0.25, 0.25, DARK)


def _boat(b: Brush, c: Colour, _: Colour) -> None:
    b.rectangle(-0.06, -0.95, 0.04, 0.35, DARK)
    b.polygon([(0.1, -0.9), (0.75, 0.25), (0.1, 0.25)], LIGHT)
    b.polygon([(-0.95, 0.35), (0.95, 0.35), (0.6, 0.85), (-0.6, 0.85)], c)


def _umbrella(b: Brush, c: Colour, _: Colour) -> None:
    top = [(0.98 * math.cos(a), -0.05 + 0.85 * math.sin(a)) for a in [-math.pi * k / 24 for k in range(25)]]
    b.rectangle(-0.06, -0.2, 0.06, 0.85, DARK)
    b.rectangle(-0.06, 0.75, 0.34, 0.87, DARK)
    b.polygon(top, c)


def _fish(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon([(0.4, 0), (0.98, -0.5), (0.98, 0.5)], c)
    b.ellipse(-0.15, 0, 0.78, 0.5, c)
    b.ellipse(-0.52, -0.1, 0.13, 0.13, LIGHT)
    b.ellipse(-0.52, -0.1, 0.06, 0.06, DARK)


def _apple(b: Brush, c: Colour, _: Colour) -> None:
    b.ellipse(-0.28, 0.15, 0.6, 0.72, c)
    b.ellipse(0.28, 0.15, 0.6, 0.72, c)
    b.rectangle(-0.06, -0.95, 0.06, -0.35, COLOURS["brown"])
    b.ellipse(0.3, -0.7, 0.28, 0.14, COLOURS["green"])


def _gift(b: Brush, c: Colour, _: Colour) -> None:
    b.rectangle(-0.8, -0.3, 0.8, 0.9, c)
    b.rectangle(-0.92, -0.55, 0.92, -0.2, c)
    b.rectangle(-0.16, -0.55, 0.16, 0.9, (250, 226, 150))
    b.ellipse(-0.3, -0.72, 0.28, 0.18, (250, 226, 150))
    b.ellipse(0.3, -0.72, 0.28, 0.18, (250, 226, 150))


def _sun(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon(_star_points(12, 0.7), c)
    b.ellipse(0, 0, 0.55, 0.55, _shade(c, 1.35))


def _snowman(b: Brush, c: Colour, _: Colour) -> None:
    b.ellipse(0, 0.45, 0.55, 0.52, LIGHT)
    b.ellipse(0, -0.3, 0.38, 0.38, LIGHT)
    b.rectangle(-0.42, -0.62, 0.42, -0.52, c)
    b.rectangle(-0.26, -0.98, 0.26, -0.55, c)
    b.ellipse(-0.13, -0.36, 0.06, 0.06, DARK)
    b.ellipse(0.13, -0.36, 0.06, 0.06, DARK)


def _ice_cream(b: Brush, c: Colour, _: Colour) -> None:
    b.polygon([(-0.46, -0.1), (0.46, -0.1), (0, 1.0)], (214, 160, 96))
    b.ellipse(0, -0.4, 0.56, 0.55, c)


def _house(b: Brush, _: Colour, __: Colour) -> None:
    """The practice subject: never among the training pictures."""
    b.rectangle(0.38, -0.92, 0.62, -0.3, (120, 72, 60))
    b.rectangle(-0.78, -0.15, 0.78, 0.92, (246, 226, 178))
    b.polygon([(0, -0.98), (0.98, -0.1), (-0.98, -0.1)], (196, 52, 44))
    b.rectangle(-0.58, 0.08, -0.2, 0.46, (96, 168, 232))
    b.rectangle(0.2, 0.08, 0.58, 0.46, (96, 168, 232))
    b.rectangle(-0.17, 0.4, 0.17, 0.92, (112, 66, 40))


ICONS: dict[str, Callable[[Brush, Colour, Colour], None]] = {
    "square": _square,
    "circle": _circle,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "diamond": _diamond,
    "ring": _ring,
    "cross": _cross,
    "moon": _moon,
    "drop": _drop,
    "cloud": _cloud,
    "tree": _tree,
    "flower": _flower,
    "balloon": _balloon,
    "car": _car,
    "boat": _boat,
    "umbrella": _umbrella,
    "fish": _fish,
    "apple": _apple,
    "gift": _gift,
    "sun": _sun,
    "snowman": _snowman,
    "ice cream": _ice_cream,
}
SUBJECT = "house"
_PAINTERS = {**ICONS, SUBJECT: _house}


def draw(scene: Scene, size_px: int = PICTURE_PX) -> Image.Image:
    """The picture of `scene`, RGB, `size_px` square."""
    big = size_px * SUPERSAMPLING
    background, colour = COLOURS[scene.background], COLOURS[scene.colour]
    flat = Image.new("RGB", (big, big), background)
    painted = flat.copy()
    _PAINTERS[scene.icon](Brush(painted, scene), colour, background)
    if scene.shadow:
        outline = ImageChops.difference(flat, painted).convert("L").point(lambda v: 70 if v > 8 else 0)
        offset = ImageChops.offset(outline, big // 40, big // 30).filter(ImageFilter.BoxBlur(big // 60))
        shadowed = Image.composite(Image.new("RGB", (big, big), _shade(background, 0.45)), flat, offset)
        inside = outline.point(lambda v: 255 if v else 0)
        painted = Image.composite(painted, shadowed, inside)
    if scene.shading:
        painted = Image.blend(painted, _gradient(painted, big), abs(scene.shading))
    return painted.resize((size_px, size_px), Image.Resampling.BOX)


def _gradient(image: Image.Image, size: int) -> Image.Image:
    """`image` lit from above: brighter at the top, darker at the bottom."""
    ramp = Image.linear_gradient("L").resize((size, size)).point(lambda v: 255 - v // 2)
    return ImageChops.multiply(image, Image.merge("RGB", (ramp, ramp, ramp)))


def random_scene(rng: random.Random) -> Scene:
    """One training scene: tight placement, mostly middle sizes (loose placement learns no usable shapes)."""
    icon = rng.choice(tuple(ICONS))
    background = rng.choice(tuple(COLOURS))
    colour = rng.choice([name for name in COLOURS if name != background])
    dice = rng.random()
    size = (
        rng.uniform(0.56, 0.70)
        if dice < 0.8
        else rng.uniform(0.36, 0.44)
        if dice < 0.9
        else rng.uniform(0.80, 0.88)
    )
    return Scene(
        icon,
        colour,
        background,
        size=size,
        x=rng.uniform(-0.05, 0.05),
        y=rng.uniform(-0.05, 0.05),
        tilt=rng.uniform(-0.04, 0.04),
        shading=rng.uniform(0.0, 0.25),
    )


def random_doodle(rng: random.Random, size_px: int = PICTURE_PX) -> Image.Image:
    """Polygons, lines and smooth noise: the VAE sees them besides icons, to carry the unseen too."""
    small = Image.frombytes("L", (6, 6), rng.randbytes(36)).resize(
        (size_px, size_px), Image.Resampling.BICUBIC
    )
    pick = [tuple(rng.randrange(256) for _ in range(3)) for _ in range(8)]
    image = Image.composite(
        Image.new("RGB", small.size, pick[0]), Image.new("RGB", small.size, pick[1]), small
    )
    pen = ImageDraw.Draw(image)
    for colour in pick[2 : 2 + rng.randrange(1, 6)]:
        points = [(rng.uniform(0, size_px), rng.uniform(0, size_px)) for _ in range(rng.randrange(3, 6))]
        if rng.random() < 0.6:
            pen.polygon(points, fill=colour)
        else:
            pen.line(points, fill=colour, width=rng.randrange(1, 5))
    return image
