"""describe arms without data or training: layers, sizes, multiply-adds, memory, and a drawing of the network

    python -m fusionlab.summary backbone=vgg_m fusion=conv layer=relu5 data=ucf101
    python -m fusionlab.summary fusion=conv,sum layer=relu3,relu5

The same options after `fusionlab.sweep` train it. No data is read and no weights are allocated: only shapes are
computed. Several arms are printed as a table, one arm with all details.
The JSON object is {"towers": [...], "arms": [...], "refused": [...]}; counts and bytes are integers, shapes are
[D, T, H, W] of one clip.
"""

from fusionlab.cli import OPTIONS, run
from fusionlab.errors import show

FLAGS = {**OPTIONS, "--layers": "all details of every arm", "--json": "all numbers as one JSON object"}


def main(words: list[str], layers: bool = False, json: bool = False) -> int:
    """Built and run on the meta device: nothing is allocated."""
    from fusionlab.summaries.summary_text import describe_arms

    show(describe_arms(words, layers=layers, as_json=json))
    return 0


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
