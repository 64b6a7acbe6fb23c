"""Where does Kernie live?  On a farm that grows server racks."""

from __future__ import annotations

import math
from random import Random

from .canvas import HEIGHT, WIDTH, Canvas, box, oval, smooth, spun

__all__ = ["draw_scenery"]

HORIZON = 372
GREENS = ["#3f8a2c", "#6fb544", "#86c653", "#4c9a34"]
PUFFS = ((-44, 8, 34, 18), (-14, -8, 32, 27), (22, -2, 34, 23), (50, 10, 28, 14), (2, 14, 62, 13))


def draw_scenery(canvas: Canvas) -> None:
    """Everything but Kernie, the far things first."""
    for draw in (sky, hills, barn, field, racks, cable):
        draw(canvas)


def sky(canvas: Canvas) -> None:
    """A fine morning: the sun and three clouds."""
    canvas.fill(box(0, 0, WIDTH, HEIGHT), canvas.gradient(0, HORIZON + 20, "#63b8ee", "#fdeecb"))
    canvas.glow(404, 112, 330, "#fff3c4", 0.95)
    canvas.fill(oval(404, 112, 44, 44), canvas.gradient(68, 156, "#fff6cf", "#ffd75a"))
    for x, y, size in ((84, 92, 1.0), (30, 214, 0.5), (478, 236, 0.62)):
        for u, v, across, down in PUFFS:
            canvas.fill(oval(x + u * size, y + v * size, across * size, down * size), "#ffffff", blur=0.6, alpha=225)


def hills(canvas: Canvas) -> None:
    """Three rows of hills, the far ones pale."""
    rows = (
        (330, 16, 0.021, 0.4, "#a9d3cf", "#c9e3c4"),
        (350, 13, 0.017, 2.6, "#86c08d", "#a6d191"),
        (368, 7, 0.024, 4.4, "#6bb04f", "#7cbb55"),
    )
    for y, swing, pace, start, top, bottom in rows:
        along = range(0, WIDTH + 8, 4)
        ridge = [(x, y + swing * (math.sin(x * pace + start) + 0.4 * math.sin(x * pace * 2.3))) for x in along]
        canvas.fill([*ridge, (WIDTH, HEIGHT), (0, HEIGHT)], canvas.gradient(y - swing, y + 60, top, bottom))


def barn(canvas: Canvas) -> None:
    """The red barn on the right, with a silo, and a wind wheel on the left."""
    canvas.fill(box(412, 300, 24, 74), canvas.gradient(300, 374, "#e6ebef", "#aab7c2"))
    canvas.fill(smooth([(411, 301), (416, 288), (424, 283), (432, 288), (437, 301)], closed=False), "#8d9dab")
    walls = [(430, 334), (437, 310), (464, 292), (491, 310), (498, 334), (498, 376), (430, 376)]
    canvas.fill(walls, canvas.gradient(292, 376, "#de5242", "#b5382c"))
    canvas.line([(425, 336), (433, 309), (464, 288), (495, 309), (503, 336)], "#fbf3e4", 3.5)
    canvas.fill(box(450, 344, 28, 32), "#8f2f23")
    for way in ([(450, 344), (478, 376)], [(478, 344), (450, 376)], [(450, 376), (450, 344), (478, 344), (478, 376)]):
        canvas.line(way, "#fbf3e4", 2)
    canvas.fill(oval(464, 318, 8, 8), "#fbf3e4")
    canvas.fill(oval(464, 318, 5.5, 5.5), "#5c2a20")
    for foot in (-10, 10):
        canvas.line([(22, 300), (22 + foot, 372)], "#8a7a66", 2)
    for sail in range(8):
        canvas.fill(oval(*spun(22, 298, 15, sail * 45), 10, 3.6, sail * 45), "#f6f2e8")
    canvas.fill(oval(22, 298, 3.5, 3.5), "#d5493a")


def field(canvas: Canvas) -> None:
    """Furrows that run to one point on the horizon, and grass in front."""
    canvas.fill(box(0, HORIZON, WIDTH, HEIGHT - HORIZON), canvas.gradient(HORIZON, HEIGHT, "#93c653", "#4f9433"))
    for row in range(-9, 10):
        foot = 256 + row * 118
        furrow = [(256 + row * 20, HORIZON), (foot - 30, HEIGHT), (foot + 26, HEIGHT), (256 + row * 20 + 3, HORIZON)]
        canvas.fill(furrow, canvas.gradient(HORIZON, HEIGHT, "#a98c4c", "#7b5328"), alpha=150, blur=0.8)
    random = Random("grass")
    for _ in range(440):
        x, y = random.uniform(0, WIDTH), HORIZON + 8 + (HEIGHT - HORIZON) * random.random() ** 0.7
        tall = 2 + (y - HORIZON) * 0.035
        tip = x + random.uniform(-0.4, 0.4) * tall, y - tall
        canvas.line([(x, y), tip], random.choice(GREENS), 0.5 + tall / 14)


def racks(canvas: Canvas) -> None:
    """Server racks, planted in rows like corn: the nearer, the larger."""
    random = Random("racks")
    for y, size, places in (
        (398, 0.34, (150, 196, 242, 288, 334, 380, 426)),
        (430, 0.5, (52, 122, 390, 460)),
        (482, 0.74, (22, 112, 402, 490)),
        (566, 1.1, (58, 456)),
    ):
        for x in places:
            rack(canvas, x, y, size, random)


def rack(canvas: Canvas, x: float, y: float, size: float, random: Random) -> None:
    """One rack standing at (x, y), with leaves at its foot and lights that differ."""
    wide, tall, deep = 56 * size, 104 * size, 11 * size
    canvas.fill(oval(x + deep / 2, y, wide * 0.72, 8 * size), "#2c5a1e", blur=2 * size, alpha=150)
    left, top = x - wide / 2, y - tall
    edge, rise = left + wide, deep * 0.6
    side = [(edge, top), (edge + deep, top - rise), (edge + deep, y - rise), (edge, y)]
    lid = [(left, top), (left + deep, top - rise), (edge + deep, top - rise), (edge, top)]
    canvas.fill(side, "#2a3646")
    canvas.fill(lid, "#6d7f95")
    canvas.fill(box(left, top, wide, tall), canvas.gradient(top, y, "#4b5c73", "#364458"))
    for unit in range(6):
        shelf = top + (7 + unit * 15.6) * size
        canvas.fill(box(left + 5 * size, shelf, wide - 10 * size, 12 * size), "#1d2632")
        for lamp in range(3):
            colour = random.choice(["#5df58a", "#5df58a", "#ffd24a", "#58c7ff"])
            spot = left + (12 + lamp * 8) * size, shelf + 6 * size
            canvas.glow(*spot, 7 * size, colour, 0.5)
            canvas.fill(oval(*spot, 2.4 * size, 2.4 * size), colour)
        canvas.line([(left + 36 * size, shelf + 6 * size), (left + 47 * size, shelf + 6 * size)], "#55657b", 1.6 * size)
    for lean in (-1, 1):
        foot = x + lean * wide * 0.3
        leaf = [(0, 3), (lean * 16, -20), (lean * 40, -22), (lean * 22, -3)]
        green = canvas.gradient(y - 24 * size, y, "#8ed04f", "#3f8a2c")
        canvas.fill(smooth([(foot + u * size, y + v * size) for u, v in leaf]), green)


def cable(canvas: Canvas) -> None:
    """The network cable from the nearest rack into Kernie's hand."""
    way = smooth([(392, 520), (398, 580), (424, 632), (470, 646), (496, 612), (480, 572), (452, 560)], closed=False)
    canvas.line(way, "#173b66", 8)
    canvas.line(way, "#3f8fe0", 5)
