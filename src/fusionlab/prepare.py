"""decode a data set once, estimate its flow, and pack what training needs

    python -m fusionlab.prepare data=brush
    python -m fusionlab.prepare data=ucf101 flow=tvl1 run.data=/disk/of/videos
    python -m fusionlab.prepare data=ucf101 flow=imported run.flow=/disk/of/flow data.store.codec.flow=jpeg

A sweep does this by itself. Each video is read once, in sequence, on all cores (run.workers). A finished store is not
made again; an incomplete store is resumed. Videos that cannot be used are listed at the end, and all others stay
packed; data.quarantine=FILE leaves the listed ones out. flow=imported packs existing images of flow from run.flow, and
shows what it assumes about them.
"""

from fusionlab.cli import OPTIONS, run

FLAGS = OPTIONS


def main(words: list[str]) -> int:
    """Make the store of one composed config."""
    from fusionlab.config.compose import tree
    from fusionlab.config.overrides import parse_overrides
    from fusionlab.config.run_config import RunConfig
    from fusionlab.config.schema import ArmConfig
    from fusionlab.errors import UserError, show
    from fusionlab.jobs.job_data import open_data

    typed = parse_overrides(words)
    if typed.axes:
        raise UserError("prepare makes one store", got=", ".join(typed.axes), hint="one value for each option")
    composed = tree(typed.groups).with_leaves(typed.leaves)
    data = open_data(ArmConfig.of(composed).data, RunConfig.of(composed))
    show(f"{len(data.store.videos)} videos in {data.folder}")
    return 0


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
