"""describe an arm without data or training: its layers, taps, parameters, and where the streams meet

    python -m fusionlab.summary backbone=tiny fusion=conv layer=relu5

Nothing is read and no weights are allocated.
"""

from fusionlab.door.verb import run


def main(words: list[str]) -> int:
    """Built on the meta device: nothing is allocated."""
    from fusionlab.door.describing import describe_arms

    print(describe_arms(words))
    return 0


if __name__ == "__main__":
    run(main, __doc__, choices=True)
