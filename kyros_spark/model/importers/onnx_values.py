"""Hold the values on the edges of an ONNX graph: columns of the inputs, and a model's score."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.model.importers.imported import slopes_only, with_tables
from kyros_spark.model.manifest import Link, ModelOutput
from kyros_spark.model.outputs import trees_by_output
from kyros_spark.model.trees import MAX_FEATURES, RawNodes, trees_from_nodes


@dataclass(frozen=True)
class Unknown:
    """A value that the importer cannot follow, and the reason."""

    reason: str


@dataclass(frozen=True)
class Columns:
    """Columns of the inputs, shifted and scaled: `(input[index] + shift) * scale`.

    index         int64[columns]: positions among the inputs' columns; None for all columns of an
                  input of unknown width
    single        whether the values have been rounded to float32 on the way
    shift, scale  float64[columns], or one number for all columns
    """

    index: np.ndarray | None
    single: bool
    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def of_input(cls, first: int, width: int | None, single: bool) -> Columns:
        """Return an input's columns, unchanged; the first is number `first` of all inputs."""
        index = None if width is None else np.arange(first, first + width)
        return cls(index, single, np.zeros(1), np.ones(1))

    @classmethod
    def joined(cls, parts: list[Columns]) -> Columns:
        """Put columns side by side.

        Raises ModelNotSupportedError for more than MAX_FEATURES: each node may double their number.
        """
        if sum(part.positions().size for part in parts) > MAX_FEATURES:
            raise ModelNotSupportedError(f"ONNX model: more than {MAX_FEATURES} columns")
        index = np.concatenate([part.positions() for part in parts])
        sizes = [part.positions().size for part in parts]
        pairs = list(zip(parts, sizes, strict=True))
        shift = np.concatenate([np.broadcast_to(part.shift, size) for part, size in pairs])
        scale = np.concatenate([np.broadcast_to(part.scale, size) for part, size in pairs])
        return cls(index, all(part.single for part in parts), shift, scale)

    def positions(self, width: int = 0) -> np.ndarray:
        """Return the columns' positions among all inputs' columns.

        width  the number of the inputs' columns, needed when `index` is None
        """
        return np.arange(width) if self.index is None else self.index

    @property
    def width(self) -> int | None:
        """The number of columns, None if the file does not state it."""
        return None if self.index is None else self.index.size

    def selected(self, numbers: np.ndarray) -> Columns:
        """Return some of the columns, by their numbers."""
        if self.index is None or not self.is_unchanged or numbers.size > MAX_FEATURES:
            raise ModelNotSupportedError("ONNX model: Gather of computed columns is not supported")
        return replace(self, index=self.index[numbers])

    def cast(self, single: bool) -> Columns:
        """Return the columns rounded to float32, or unchanged."""
        return replace(self, single=self.single or single)

    def shifted(self, constant: Any) -> Columns:
        """Add one constant to every column, or one per column."""
        return replace(self, shift=self.shift + np.asarray(constant) / self.scale)

    def scaled(self, constant: Any) -> Columns:
        """Multiply every column by one constant, or each by its own."""
        return replace(self, scale=self.scale * np.asarray(constant, np.float64))

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing has been added or multiplied, so that a tree's thresholds apply."""
        return not self.shift.any() and bool((self.scale == 1).all())


@dataclass(frozen=True)
class Codes:
    """A column cast to whole numbers, which are the codes to look up in a table."""

    column: int


@dataclass(frozen=True)
class Score:
    """The score of the graph's one model.

    intercept     the value that the sum starts from, on the scale of the link
    nodes         of a tree ensemble; with several outputs, each leaf holds a vector
    coefficients  of a linear model: float64[columns], one per column of `columns`
    tables        of a linear model: column -> float64[levels], coefficients by the column's code
    factor, load  applied to the response: inverse link(score) * factor + load
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
    def min_features(self) -> int:
        """The least number of features that the model needs, for an input of unknown width."""
        if self.coefficients is not None:
            return self.coefficients.size
        if self.nodes is None:
            return max(self.tables, default=-1) + 1
        return int(self.nodes.feature.max(initial=-1)) + 1

    def through(self, link: Link) -> Score:
        """Put the score through an inverse link."""
        if self.link != "identity" or self.outputs or self.changes_response:
            raise ModelNotSupportedError(f"ONNX model: {link} after {self.link} is not supported")
        return replace(self, link=link)

    def shifted(self, constant: np.ndarray) -> Score:
        """Add a constant to the score or, once there is a link, to the response."""
        self._require_one_number("Add", constant)
        if self.link != "identity":
            return replace(self, load=self.load + float(constant[0]))
        return replace(self, intercept=self.intercept + float(constant[0]))

    def scaled(self, constant: np.ndarray) -> Score:
        """Multiply the score or, once there is a link, the response by a constant."""
        self._require_one_number("Mul", constant)
        factor = float(constant[0])
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
    def adds_up_to_1(self) -> bool:
        """Whether the classes' responses are probabilities that add up to 1."""
        of_two_classes = self.operator == "LinearClassifier" and self.link == "logit"
        return (self.link == "softmax" or of_two_classes) and not self.changes_response

    @property
    def changes_response(self) -> bool:
        """Whether the response is already multiplied or shifted."""
        return self.factor != 1.0 or self.load != 0.0

    def plus(self, other: Score) -> Score:
        """Return the sum of two linear scores of different columns."""
        both, shared = (self, other), self.tables.keys() & other.tables.keys()
        plain = all(score.nodes is None and score.link == "identity" for score in both)
        if not plain or shared:
            raise ModelNotSupportedError("ONNX model: Add of two models is not supported")
        slopes = [score.coefficients for score in both if score.coefficients is not None]
        columns = [score.columns for score in both if score.coefficients is not None]
        return replace(
            self,
            columns=Columns.joined(columns) if columns else self.columns,
            coefficients=np.concatenate(slopes) if slopes else None,
            intercept=self.intercept + other.intercept,
            tables=self.tables | other.tables,
        )

    def _require_one_number(self, operator: str, constant: np.ndarray) -> None:
        if constant.size != 1 or self.outputs:
            raise ModelNotSupportedError(f"ONNX model: {operator} of a vector is not supported")

    def arrays(self, n_features: int) -> dict[str, np.ndarray]:
        """Return the arrays of the model file."""
        positions = self.columns.positions(n_features)
        if self.nodes is not None:
            feature = self.nodes.feature.copy()
            split = self.nodes.left >= 0
            feature[split] = positions[feature[split]]
            trees = trees_from_nodes(replace(self.nodes, feature=feature), n_features)
            if not self.outputs:
                return trees.as_dict()
            trees, start = trees_by_output(trees)
            return trees.as_dict() | {"output_start": start}
        slopes = np.zeros(n_features)
        if self.coefficients is not None:
            np.add.at(slopes, positions, self.coefficients)
        return with_tables(slopes, self.tables) if self.tables else slopes_only(slopes)


def linear_score(operator: str, columns: Columns, slopes: np.ndarray, intercept: float) -> Score:
    """Return the score `intercept + sum of slope * column`, expressed in unscaled input columns.

    slopes  any shape with one number per column
    """
    slopes = np.asarray(slopes, np.float64).ravel()
    if columns.index is not None and slopes.size != columns.index.size:
        mismatch = f"{slopes.size} coefficients for {columns.index.size} columns"
        raise ModelNotSupportedError(f"ONNX model: {operator} of {mismatch}")
    shift = float(np.sum(slopes * columns.scale * columns.shift))
    return Score(operator, columns, intercept + shift, coefficients=slopes * columns.scale)
