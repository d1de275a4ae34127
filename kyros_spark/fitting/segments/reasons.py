"""Say why a segment takes its parent's coefficients: codes for arrays, and their sentences."""

from __future__ import annotations

from kyros_spark.kernels import small_fits

FITTED = 0
FEW_ROWS, FEW_CLAIMS, NO_CLAIMS, NO_OTHER_OUTCOME = 11, 12, 13, 14
LEVEL_APART, NUMBER_APART, RUNAWAY = 15, 16, 17
NO_KEY = 18

REASONS = {
    FITTED: None,
    small_fits.NOT_CONVERGED: "the steps did not become short enough within glm.max_iter",
    small_fits.SINGULAR: "the normal equations became singular",
    small_fits.NO_DESCENT: "no step lowered the deviance",
    small_fits.NO_MEAN: "the parent's coefficients give means that the family does not have",
    FEW_ROWS: "fewer rows than min_rows",
    FEW_CLAIMS: "fewer claims than min_claims",
    NO_CLAIMS: "no claims at all",
    NO_OTHER_OUTCOME: "one outcome only",
    LEVEL_APART: "a level without claims, or of one outcome (separation)",
    NUMBER_APART: "all claims at one end of a number (separation)",
    RUNAWAY: "coefficients that run to infinity (separation)",
    NO_KEY: "the segment's key is missing",
}
