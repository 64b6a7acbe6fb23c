"""Who is that?  Kernie, a grain of corn and the farmer here."""

from __future__ import annotations

import math

from .canvas import INK, Canvas, at, mirrored, oval, smooth

__all__ = ["draw_kernie"]


def draw_kernie(canvas: Canvas) -> None:
    """The farmer, from the shadow up to the hat."""
    canvas.fill(oval(256, 729, 122, 15), "#274d18", blur=6, alpha=170)
    for draw in (legs, body, husk, arms, face, hat):
        draw(canvas)


def legs(canvas: Canvas) -> None:
    """Two legs in rubber boots."""
    for turn in (False, True):
        put = (lambda points: mirrored(points, 256)) if turn else list
        canvas.fill(put(smooth([(214, 630), (244, 630), (243, 700), (218, 700)])), "#3c78c2", edge=3.5)
        boot = at("212,680 245,680 247,712 246,730 214,732 184,730 182,716 203,706 211,694")
        canvas.fill(put(smooth(boot)), canvas.gradient(674, 734, "#e8604c", "#b93a2b"), edge=3.5)
        canvas.line(put([(214, 688), (243, 688)]), "#ffb3a3", 3)


def body(canvas: Canvas) -> None:
    """Broad above, narrow below, with a pattern of corn and light from the upper right."""
    outline = smooth(at(BODY))
    lit = Canvas()
    lit.fill(outline, canvas.gradient(230, 650, "#ffe066", "#f7a823"))
    corn(lit)
    lit.glow(318, 340, 250, "#fff7bd", 0.85)
    lit.fill(smooth([(96, 260), (150, 250), (168, 420), (214, 640), (120, 640)]), "#e88a12", blur=22, alpha=140)
    lit.fill(oval(256, 276, 150, 24), "#b96a10", blur=8, alpha=110)
    lit.fill(smooth([(352, 306), (372, 330), (374, 384), (362, 396), (354, 340)]), "#fffdf0", blur=3, alpha=170)
    canvas.fill(outline, lit.image, edge=4.5)


BODY = "256,232 322,240 374,282 394,352 384,436 352,530 312,612 256,650 200,612 160,530 128,436 118,352 138,282 190,240"


def corn(canvas: Canvas) -> None:
    """Rows of grains, bent around the body, narrower towards its sides."""
    for column in range(-5, 6):
        for row in range(13):
            middle = math.sin(column / 5.6 * math.pi / 2)
            x, y = 256 + 146 * middle, 240 + (row + (column % 2) / 2) * 35 - 10 * (1 - middle * middle)
            across = 21 * math.cos(column / 5.6 * math.pi / 2) + 2
            high, low = [(x - across, y - 12), (x, y - 17), (x + across, y - 12)], y + 12
            grain = smooth([*high, (x + across, low), (x, low + 5), (x - across, low)])
            canvas.fill(grain, "#ef9a1a", alpha=105, blur=1.5)
            smaller = [(u * 0.88 + x * 0.12, v * 0.88 + y * 0.12 - 1) for u, v in grain]
            canvas.fill(smaller, "#ffd54a", alpha=150, blur=1)
            canvas.fill(oval(x + across * 0.25, y - 7, across * 0.45, 4), "#fff3b0", alpha=120, blur=1.5)


def husk(canvas: Canvas) -> None:
    """Dungarees of husk leaves."""
    green = canvas.gradient(470, 660, "#9bd75a", "#3e8f35")
    back = at("256,520 300,548 366,478 352,560 312,636 256,664 200,636 160,560 146,478 212,548")
    canvas.fill(smooth(back), green, edge=4)
    for turn in (False, True):
        put = (lambda points: mirrored(points, 256)) if turn else list
        leaf = smooth([(126, 452), (176, 520), (232, 590), (262, 662), (206, 650), (156, 590), (132, 520)])
        canvas.fill(put(leaf), green, edge=4)
        for vein in ([(140, 486), (176, 556), (230, 634)], [(146, 532), (176, 588), (212, 632)]):
            canvas.line(put(smooth(vein, closed=False)), "#cdf08e", 2)
    canvas.fill(oval(256, 606, 10, 10), "#ffd75a", edge=3)


def arms(canvas: Canvas) -> None:
    """One waves, the other holds the plug."""
    for way in ([(134, 420), (88, 424), (62, 380), (60, 338)], [(380, 424), (414, 446), (412, 486), (392, 508)]):
        curve = smooth(way, closed=False)
        canvas.line(curve, INK, 25)
        canvas.line(curve, "#fbc437", 17)
    plug(canvas)
    for points in HAND:
        canvas.fill(smooth(points), "#fffaf0", edge=3.5)
    canvas.fill(oval(392, 512, 25, 22), "#fffaf0", edge=3.5)
    for x in (382, 394):
        canvas.line([(x, 516), (x - 2, 530)], INK, 3)


HAND = [
    [(44, 318), (34, 292), (24, 264), (33, 258), (44, 284), (52, 306)],
    [(52, 308), (50, 276), (52, 246), (63, 246), (66, 276), (66, 306)],
    [(64, 308), (72, 282), (84, 258), (94, 264), (86, 290), (78, 314)],
    [(72, 332), (86, 318), (104, 310), (109, 320), (96, 332), (80, 348)],
    [(40, 318), (60, 302), (80, 316), (84, 342), (64, 360), (42, 346)],
]


def plug(canvas: Canvas) -> None:
    """The end of the cable."""
    canvas.fill([(366, 462), (398, 462), (400, 500), (368, 500)], "#eef6ff", edge=3.5)
    canvas.fill([(374, 452), (391, 452), (391, 463), (374, 463)], "#dbe9f7", edge=3)
    for x in (372, 379, 386, 393):
        canvas.line([(x, 468), (x, 478)], "#e0a92e", 3)


def face(canvas: Canvas) -> None:
    """Eyes that look at you, and a smile."""
    for x in (208, 304):
        canvas.fill(oval(x, 358, 30, 38), "#ffffff", edge=4)
        canvas.fill(oval(x + 3, 364, 18, 24), canvas.gradient(340, 388, "#3a2413", "#8a5524"))
        canvas.fill(oval(x + 4, 366, 10, 14), "#1d1008")
        canvas.fill(oval(x + 10, 354, 7, 8), "#ffffff")
        canvas.fill(oval(x - 4, 376, 4, 4), "#ffffff", alpha=220)
    canvas.line(smooth([(180, 316), (202, 304), (226, 309)], closed=False), INK, 7)
    canvas.line(smooth([(286, 309), (310, 303), (332, 315)], closed=False), INK, 7)
    for x in (170, 342):
        canvas.glow(x, 410, 48, "#ff7a52", 0.8)
    mouth = smooth([(216, 414), (256, 424), (296, 414), (284, 454), (256, 468), (228, 454)])
    canvas.fill(mouth, "#7c2317", edge=4)
    canvas.fill(smooth([(234, 452), (256, 440), (278, 452), (270, 462), (256, 466), (242, 462)]), "#ff8b7b")
    canvas.fill(smooth([(222, 418), (256, 426), (290, 418), (284, 430), (256, 436), (228, 430)]), "#ffffff")


def hat(canvas: Canvas) -> None:
    """A straw hat with a red ribbon and a sprout."""
    straw = canvas.gradient(150, 290, "#f9dc8f", "#d9a441")
    sprout = smooth([(262, 168), (270, 132), (304, 116), (316, 120), (300, 150)])
    canvas.fill(sprout, canvas.gradient(112, 170, "#a9e063", "#4c9a34"), edge=3)
    brim = at("116,268 186,238 256,232 326,238 396,268 330,292 256,284 182,292")
    canvas.fill(smooth(brim), straw, edge=4)
    crown = [(178, 252), (184, 196), (214, 164), (256, 158), (298, 164), (328, 196), (334, 252), (256, 264)]
    canvas.fill(smooth(crown), straw, edge=4)
    canvas.fill(smooth([(177, 232), (256, 244), (335, 232), (335, 254), (256, 266), (177, 254)]), "#d5493a", edge=3.5)
    for y in (186, 206):
        canvas.line(smooth([(196, y), (256, y + 8), (316, y)], closed=False), "#c8913a", 2)
