"""describe arms without data or training: layers, sizes, multiply-adds, memory, and a drawing of the network

    python -m fusionlab.summary backbone=vgg_m fusion=conv layer=relu5 data=ucf101
    python -m fusionlab.summary fusion=conv,sum layer=relu3,relu5

The same words typed after `fusionlab.sweep` train it. Nothing is read, and no weights are allocated: only shapes run.
Of several arms a table is printed, of one arm everything.
The JSON object is {"towers": [...], "arms": [...]}; counts and bytes are integers, shapes are [D, T, H, W] of one clip.
"""

from fusionlab.cli import OPTIONS, run
from fusionlab.errors import show

FLAGS = {**OPTIONS, "--layers": "everything of every arm", "--json": "print one JSON object with all numbers instead"}


def main(words: list[str], layers: bool = False, json: bool = False) -> int:
    """Built and run on the meta device: nothing is allocated."""
    from fusionlab.summaries.summary_text import describe_arms

    show(describe_arms(words, layers=layers, as_json=json))
    return 0


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
