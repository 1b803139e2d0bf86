"""Dominance, the Pareto front and its hypervolume, for objectives that are all maximised."""

from __future__ import annotations

from collections.abc import Sequence

Point = Sequence[float]


def dominates(a: Point, b: Point) -> bool:
    """Whether `a` is at least as good as `b` in every objective and better in one."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def pareto_front(points: Sequence[Point]) -> list[int]:
    """The indices of the points that none dominates, by falling first objective.

    Of equal points only the first is listed.
    """
    order = sorted(range(len(points)), key=lambda i: ([-x for x in points[i]], i))
    front: list[int] = []
    if points and len(points[0]) == 2:
        # sorted by the first objective, a point is on the front if it raises the second
        best = float("-inf")
        for i in order:
            if points[i][1] > best:
                front.append(i)
                best = points[i][1]
        return front
    for i in order:  # nothing later in this order dominates anything earlier
        if not any(dominates(points[j], points[i]) or tuple(points[j]) == tuple(points[i]) for j in front):
            front.append(i)
    return front


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The area that points of two objectives dominate above the reference point.

    Raises:
        ValueError: not two objectives.
    """
    if len(reference) != 2:
        raise ValueError(f"hypervolume of {len(reference)} objectives: only two are supported")
    inside = [p for p in points if p[0] > reference[0] and p[1] > reference[1]]
    area, height = 0.0, reference[1]
    for i in pareto_front(inside):
        x, y = inside[i]
        area += (x - reference[0]) * (y - height)
        height = y
    return area
