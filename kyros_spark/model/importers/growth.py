"""Bound what a model file may become in memory by the file's own size."""

from kyros_spark.errors import ModelNotSupportedError

# Of real models, those with the largest category codes grow most: 100,000 categories and a set for
# each split make 150 bytes of a byte.
BYTES_PER_FILE_BYTE = 256
SMALL_BYTES = 16 << 20  # which any file may become


def refuse_growth(library: str, noun: str, expanded_bytes: int, file_bytes: int) -> None:
    """Refuse a file of which some arrays would take memory out of proportion, before they do.

    noun  what the arrays hold, for the error

    Raises ModelNotSupportedError.
    """
    limit = SMALL_BYTES + BYTES_PER_FILE_BYTE * file_bytes
    if expanded_bytes > limit:
        raise ModelNotSupportedError(
            f"{library} model: {noun} of {expanded_bytes} bytes from a file of {file_bytes}, "
            f"expected at most {limit}"
        )
