"""The methods said once more, slowly: Python floats (64 bit) and plain loops, written from their definitions.

Shares no code with the package. Matrices are lists of rows. Every selection also says how clear it was: the smallest
relative distance between two different scores on the two sides of a cut.
"""

import math
from dataclasses import dataclass

Matrix = list[list[float]]


@dataclass
class Outcome:
    """What stays, new weights, and the thinnest margin of any cut."""

    kept: list[list[bool]]
    weight: Matrix
    margin: float = math.inf


def squares(sequences: list[Matrix]) -> list[float]:
    """Mean over sequences of the sum of squares of each feature: P2."""
    width = len(sequences[0][0])
    return [sum(token[j] ** 2 for tokens in sequences for token in tokens) / len(sequences) for j in range(width)]


def hessian(sequences: list[Matrix]) -> Matrix:
    """2/n times the sum of outer products: P4."""
    width = len(sequences[0][0])
    tokens = [token for tokens in sequences for token in tokens]
    return [[2 / len(sequences) * sum(t[i] * t[j] for t in tokens) for j in range(width)] for i in range(width)]


def magnitude(weight: Matrix) -> Matrix:
    """P1."""
    return [[abs(w) for w in row] for row in weight]


def wanda(weight: Matrix, squared: list[float]) -> Matrix:
    """P2."""
    return [[abs(w) * math.sqrt(squared[j]) for j, w in enumerate(row)] for row in weight]


def ria(weight: Matrix, squared: list[float], exponent: float = 0.5) -> Matrix:
    """P3."""
    columns = [sum(abs(row[j]) for row in weight) for j in range(len(weight[0]))]
    scores = []
    for row in weight:
        total = sum(abs(w) for w in row)
        shares = [abs(w) / columns[j] + abs(w) / total for j, w in enumerate(row)]
        scores.append([share * math.sqrt(squared[j]) ** exponent for j, share in enumerate(shares)])
    return scores


def cut(scores: list[float], count: int) -> tuple[set[int], float]:
    """Indices of the ``count`` lowest, the first among equals, and the margin of the cut."""
    order = sorted(range(len(scores)), key=lambda index: (scores[index], index))
    if count in (0, len(scores)):
        return set(order[:count]), math.inf
    low, high = scores[order[count - 1]], scores[order[count]]
    return set(order[:count]), math.inf if low == high else (high - low) / high


def threshold(scores: list[float], sparsity: float) -> tuple[set[int], float]:
    """The published threshold: everything up to the score at position int(n·s), included."""
    limit = sorted(scores)[int(len(scores) * sparsity)]
    above = [score for score in scores if score > limit]
    margin = (min(above) - limit) / min(above) if above else math.inf
    return {index for index, score in enumerate(scores) if score <= limit}, margin


def select(scores: Matrix, group: str, selection: str, sparsity: float, pattern: tuple[int, int] | None) -> Outcome:
    """Which weights stay: P1 to P3, and the two selections."""
    rows, width = len(scores), len(scores[0])
    cells = [(i, j) for i in range(rows) for j in range(width)]
    if pattern is not None:
        n, m = pattern
        groups = [[(i, j) for j in range(start, start + m)] for i in range(rows) for start in range(0, width, m)]
    elif group == "row":
        groups = [[(i, j) for j in range(width)] for i in range(rows)]
    else:
        groups = [cells]
    found = Outcome([[True] * width for _ in range(rows)], scores)
    for members in groups:
        values = [scores[i][j] for i, j in members]
        if pattern is None and group == "matrix" and selection == "reference":
            gone, margin = threshold(values, sparsity)
        else:
            gone, margin = cut(values, m - n if pattern is not None else int(len(values) * sparsity))
        found.margin = min(found.margin, margin)
        for index in gone:
            i, j = members[index]
            found.kept[i][j] = False
    return found


def cholesky(matrix: Matrix) -> Matrix:
    """Lower factor L with L Lᵀ = matrix."""
    size = len(matrix)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i][j] = math.sqrt(rest) if i == j else rest / lower[j][j]
    return lower


def inverse(matrix: Matrix) -> Matrix:
    """Gauss and Jordan, with the largest pivot of each column."""
    size = len(matrix)
    work = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda i: abs(work[i][column]))
        work[column], work[pivot] = work[pivot], work[column]
        work[column] = [value / work[column][column] for value in work[column]]
        for i in range(size):
            if i != column:
                factor = work[i][column]
                work[i] = [a - factor * b for a, b in zip(work[i], work[column], strict=True)]
    return [row[size:] for row in work]


def upper_factor(moments: Matrix, damping: float) -> tuple[Matrix, list[int]]:
    """U with Uᵀ U = inverse of the damped moments, and the dead inputs."""
    size = len(moments)
    damped = [row[:] for row in moments]
    dead = [j for j in range(size) if damped[j][j] == 0]
    for j in dead:
        damped[j][j] = 1.0
    extra = damping * sum(damped[j][j] for j in range(size)) / size
    for j in range(size):
        damped[j][j] += extra
    lower = cholesky(inverse(damped))
    return [[lower[j][i] for j in range(size)] for i in range(size)], dead


def sparsegpt(
    weight: Matrix,
    moments: Matrix,
    selection: str,
    sparsity: float,
    pattern: tuple[int, int] | None,
    block: int = 128,
    damping: float = 0.01,
) -> Outcome:
    """P4: one column after the other, every later column updated at once."""
    rows, width = len(weight), len(weight[0])
    upper, dead = upper_factor(moments, damping)
    work = [row[:] for row in weight]
    for row in work:
        for j in dead:
            row[j] = 0.0
    found = Outcome([[True] * width for _ in range(rows)], work)
    gone_before = 0
    for j in range(width):
        in_block = j % block
        if pattern is None and in_block == 0:
            stop = min(j + block, width)
            cells = [(i, k) for i in range(rows) for k in range(j, stop)]
            losses = [work[i][k] ** 2 / upper[k][k] ** 2 for i, k in cells]
            if selection == "reference":
                gone, margin = threshold(losses, sparsity)
            else:
                count = int(rows * stop * sparsity) - gone_before
                gone_before += count
                gone, margin = cut(losses, count)
            found.margin = min(found.margin, margin)
            for index in gone:
                found.kept[cells[index][0]][cells[index][1]] = False
        if pattern is not None and in_block % pattern[1] == 0:
            for i in range(rows):
                losses = [work[i][k] ** 2 / upper[k][k] ** 2 for k in range(j, j + pattern[1])]
                gone, margin = cut(losses, pattern[1] - pattern[0])
                found.margin = min(found.margin, margin)
                for index in gone:
                    found.kept[i][j + index] = False
        for i in range(rows):
            if not found.kept[i][j]:
                error = work[i][j] / upper[j][j]
                work[i][j] = 0.0
                for k in range(j + 1, width):
                    work[i][k] -= error * upper[j][k]
    return found
