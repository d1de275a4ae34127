"""Hold what passes along the edges of an ONNX graph: columns of the inputs, and a model's score."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.model.importers.imported import slopes_only, with_tables
from kyros_spark.model.manifest import Link, ModelOutput
from kyros_spark.model.outputs import trees_by_output
from kyros_spark.model.trees import RawNodes, trees_from_nodes


@dataclass(frozen=True)
class Unknown:
    """A value that the importer cannot follow, and why."""

    why: str


@dataclass(frozen=True)
class Columns:
    """Columns `(input[index] + shift) * scale`.

    index   which columns of the inputs; None for all of an input of unknown width
    single  whether they have been float32 on the way
    """

    index: np.ndarray | None
    single: bool
    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def of_input(cls, first: int, width: int | None, single: bool) -> Columns:
        """Return an input's columns as they come."""
        index = None if width is None else np.arange(first, first + width)
        return cls(index, single, np.zeros(1), np.ones(1))

    @classmethod
    def joined(cls, parts: list[Columns]) -> Columns:
        """Put columns side by side."""
        index = np.concatenate([one.positions() for one in parts])
        sizes = [one.positions().size for one in parts]
        pairs = list(zip(parts, sizes, strict=True))
        shift = np.concatenate([np.broadcast_to(one.shift, size) for one, size in pairs])
        scale = np.concatenate([np.broadcast_to(one.scale, size) for one, size in pairs])
        return cls(index, all(one.single for one in parts), shift, scale)

    def positions(self, width: int = 0) -> np.ndarray:
        """Return the columns' places among all the inputs' columns."""
        return np.arange(width) if self.index is None else self.index

    def chosen(self, numbers: np.ndarray) -> Columns:
        """Take some of the columns, by their numbers."""
        if self.index is None or not self.as_they_come:
            raise ModelNotSupportedError("ONNX model: Gather of computed columns is not supported")
        return replace(self, index=self.index[numbers])

    def cast(self, single: bool) -> Columns:
        """Round to float32, or leave the values as they are."""
        return replace(self, single=self.single or single)

    def moved(self, by: Any) -> Columns:
        """Add a constant to every column, or one to each."""
        return replace(self, shift=self.shift + np.asarray(by) / self.scale)

    def scaled(self, by: Any) -> Columns:
        """Multiply every column by a constant, or each by its own."""
        return replace(self, scale=self.scale * np.asarray(by, np.float64))

    @property
    def as_they_come(self) -> bool:
        """Whether nothing has been added or multiplied; a tree's thresholds then hold."""
        return not self.shift.any() and bool((self.scale == 1).all())


@dataclass(frozen=True)
class Codes:
    """A column cast to whole numbers, by which a table is looked up."""

    column: int


@dataclass(frozen=True)
class Score:
    """The score of the graph's one model.

    nodes         of a tree ensemble, with a vector at each leaf where there are several outputs, or
    coefficients  of a linear model, one a column of `columns`
    tables        of a linear model, coefficients looked up by the code in a column
    factor, load  what is done to the response, after the link
    """

    operator: str
    columns: Columns
    intercept: float
    link: Link = "identity"
    nodes: RawNodes | None = None
    coefficients: np.ndarray | None = None
    outputs: tuple[ModelOutput, ...] = ()
    tables: dict[int, np.ndarray] = field(default_factory=dict)
    factor: float = 1.0
    load: float = 0.0

    @property
    def kind(self) -> Literal["trees", "glm"]:
        """The manifest's kind."""
        return "glm" if self.nodes is None else "trees"

    @property
    def least_features(self) -> int:
        """The number of columns the model speaks of, for an input of unknown width."""
        if self.coefficients is not None:
            return self.coefficients.size
        if self.nodes is None:
            return max(self.tables, default=-1) + 1
        return int(self.nodes.feature.max(initial=-1)) + 1

    def through(self, link: Link) -> Score:
        """Return the score put through an inverse link."""
        if self.link != "identity" or self.outputs or self.is_moved:
            raise ModelNotSupportedError(f"ONNX model: {link} after {self.link} is not supported")
        return replace(self, link=link)

    def moved(self, by: np.ndarray) -> Score:
        """Add a constant: to the score, or to the response behind the link."""
        self._one_number("Add", by)
        if self.link != "identity":
            return replace(self, load=self.load + float(by[0]))
        return replace(self, intercept=self.intercept + float(by[0]))

    def scaled(self, by: np.ndarray) -> Score:
        """Multiply by a constant: the score, or the response behind the link."""
        self._one_number("Mul", by)
        factor = float(by[0])
        if self.link != "identity":
            return replace(self, factor=self.factor * factor, load=self.load * factor)
        nodes, slopes = self.nodes, self.coefficients
        return replace(
            self,
            intercept=self.intercept * factor,
            nodes=None if nodes is None else replace(nodes, value=nodes.value * np.float64(factor)),
            coefficients=None if slopes is None else slopes * factor,
            tables={column: table * factor for column, table in self.tables.items()},
        )

    @property
    def is_moved(self) -> bool:
        """Whether something is done to the response already."""
        return self.factor != 1.0 or self.load != 0.0

    def plus(self, other: Score) -> Score:
        """Return the sum of two linear scores of different columns."""
        both, shared = (self, other), self.tables.keys() & other.tables.keys()
        plain = all(one.nodes is None and one.link == "identity" for one in both)
        if not plain or shared:
            raise ModelNotSupportedError("ONNX model: Add of two models is not supported")
        slopes = [one.coefficients for one in both if one.coefficients is not None]
        columns = [one.columns for one in both if one.coefficients is not None]
        return replace(
            self,
            columns=Columns.joined(columns) if columns else self.columns,
            coefficients=np.concatenate(slopes) if slopes else None,
            intercept=self.intercept + other.intercept,
            tables=self.tables | other.tables,
        )

    def _one_number(self, operator: str, by: np.ndarray) -> None:
        if by.size != 1 or self.outputs:
            raise ModelNotSupportedError(f"ONNX model: {operator} of a vector is not supported")

    def arrays(self, n_features: int) -> dict[str, np.ndarray]:
        """Return the arrays of the model file."""
        places = self.columns.positions(n_features)
        if self.nodes is not None:
            feature = self.nodes.feature.copy()
            split = self.nodes.left >= 0
            feature[split] = places[feature[split]]
            trees = trees_from_nodes(replace(self.nodes, feature=feature), n_features)
            if not self.outputs:
                return trees.as_dict()
            trees, start = trees_by_output(trees)
            return trees.as_dict() | {"output_start": start}
        slopes = np.zeros(n_features)
        if self.coefficients is not None:
            np.add.at(slopes, places, self.coefficients)
        return with_tables(slopes, self.tables) if self.tables else slopes_only(slopes)


def linear_score(operator: str, columns: Columns, slopes: np.ndarray, intercept: float) -> Score:
    """Return `intercept + sum of slope * column`, with the columns' own scaling worked in."""
    slopes = np.asarray(slopes, np.float64).ravel()
    if columns.index is not None and slopes.size != columns.index.size:
        found = f"{slopes.size} coefficients for {columns.index.size} columns"
        raise ModelNotSupportedError(f"ONNX model: {operator} of {found}")
    moved = float(np.sum(slopes * columns.scale * columns.shift))
    return Score(operator, columns, intercept + moved, coefficients=slopes * columns.scale)
