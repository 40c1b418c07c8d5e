"""The work of a job: clips, steps and multiply-adds, known before anything runs.

    step    batch · (frozen towers + 3 Σ nets that are trained)      a backward pass is two forward passes, and reaches
                                                                     the lowest layer that is trained
    view    frozen towers + Σ nets                                   in validation and testing, of one clip

Arms of one job share the frozen towers; `shared=False` is the work of each arm in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusionlab.config.other_tests import tested_by, wanted
from fusionlab.config.schema import ArmConfig, StreamConfig, config_of
from fusionlab.data.views import TESTS, VIDEO
from fusionlab.pricing.clip_counts import Clips
from fusionlab.records.other_tests import Asked, OtherTest
from fusionlab.sizes.costs import Costs
from fusionlab.sizes.sizing import Sized, Sizes
from fusionlab.study.recipes import STREAMS

NOTHING = Asked()
BACKWARD = 2  # forward passes that a backward pass is worth
MIDDLE = TESTS["middle"]  # views of a video in a validation


@dataclass(frozen=True)
class Work:
    """The whole work of one job. Multiply-adds are exact; views of whole frames or videos are scaled by their size."""

    arms: int
    batch: int
    validations: int  # at most, where the recipe has patience, or trains until it has converged
    steps: int
    trunk_macs: int  # of a step, in the frozen towers
    net_macs: int  # of a step, in what is trained, with its backward pass
    validation_views: int
    view_macs: int
    test_views: int
    test_macs: int  # of a view
    other_macs: int = 0  # of all other tests
    epoch: int = 0  # steps of one
    first_saves: int = 0  # in all steps of the first phase, whose backward pass is shorter

    @property
    def step_macs(self) -> int:
        return self.trunk_macs + self.net_macs

    @property
    def evaluated(self) -> int:
        """Multiply-adds of all validations and tests."""
        return self.validations * self.validation_views * self.view_macs + self.tested

    @property
    def tested(self) -> int:
        """Multiply-adds of all tests."""
        return self.test_views * self.test_macs + self.other_macs

    @property
    def macs(self) -> int:
        return self.steps * self.step_macs - self.first_saves + self.evaluated


def work_of(sized: Sequence[Sized], sizes: Sizes, clips: Clips | None, asked: Asked = NOTHING) -> Work | None:
    """The work of arms that one job trains together; None where the number of clips is unknown.

    `asked`: the other tests of every net.
    """
    if clips is None:
        return None
    config = config_of(sized[0].arm)
    trained = [one for one in sized if one.size.trained_parameters]
    batch = min(config.stage.batch_size, max(clips.train, 1))
    # Steps that are repeated are not scaled to the longer list.
    part = round(clips.train * (1 - config.data.sampling.validation)) if config.chosen_by else clips.train
    recipe, steps_per_epoch = config.stage.recipe, config.stage.steps_per_epoch(part)
    validations = recipe.most_validations(steps_per_epoch) if trained and steps_per_epoch else 1
    steps = recipe.most_steps(steps_per_epoch) if trained else 0
    nets = config.tasks * sum(net_macs(one.trained) + BACKWARD * backward_macs(one) for one in trained)
    trunk = sizes.trunk_macs(trained) if trained else 0
    view = sizes.trunk_macs(sized) + sum(net_macs(one.trained) for one in sized)
    test = sizes.trunk_macs(sized) + sum(net_macs(one.costs) for one in sized)
    saved = sum(backward_macs(one) - backward_macs(one, recipe.first.from_layer) for one in trained)
    how = config.data.sampling
    return Work(
        arms=len(sized), batch=batch, validations=validations, steps=steps,
        trunk_macs=batch * trunk, net_macs=batch * nets,
        validation_views=MIDDLE * clips.validation, view_macs=view,
        test_views=how.views * clips.test, test_macs=round(test * test_scale(config, clips)),
        epoch=steps_per_epoch if trained else 0,
        first_saves=min(recipe.first_steps(steps_per_epoch), steps) * batch * config.tasks * BACKWARD * saved,
        other_macs=sum(test_macs(test, own, sizes, clips) for test, own in other_tests(sized, asked).items()),
    )  # fmt: skip


def other_tests(sized: Sequence[Sized], asked: Asked) -> dict[OtherTest, list[Sized]]:
    """The other tests that a job makes, each with the arms that it is made of."""
    tests: dict[OtherTest, list[Sized]] = {}
    for one in (one for one in sized if one.arm.has_row):
        for test in wanted(asked, config_of(one.arm), one.net.head_names):
            tests.setdefault(test, []).append(one)
    return tests


def videos_of(test: OtherTest, clips: Clips) -> int:
    """The number of videos in the list of a test."""
    return {"train": clips.train, "validation": clips.validation}.get(test.of, clips.test)


def test_macs(test: OtherTest, sized: Sequence[Sized], sizes: Sizes, clips: Clips) -> int:
    """Multiply-adds of one test, of nets that share their frozen towers."""
    config = tested_by(config_of(sized[0].arm), test)
    view = sizes.trunk_macs(sized) + sum(net_macs(one.costs) for one in sized)
    return config.data.sampling.views * videos_of(test, clips) * round(view * test_scale(config, clips))


def net_macs(costs: Costs) -> int:
    """Multiply-adds of a clip in what an arm trains, without the frozen towers."""
    return sum(layer.macs for layer in costs.layers if layer.part not in STREAMS)


def backward_macs(one: Sized, first: str | None = None) -> int:
    """Multiply-adds of a clip in the layers with a backward pass; in the first phase from the layer `first` on."""
    lowest = [layer for layer in (one.recipe.from_layer, first) if layer is not None]
    if not lowest:
        return net_macs(one.trained)
    (names,) = (tower.names for tower in one.net.own_towers.values())  # only a stream is trained so
    above = names[max(map(names.index, lowest)) :]
    return sum(layer.macs for layer in one.trained.layers if layer.name in above)


def test_scale(config: ArmConfig | StreamConfig, clips: Clips) -> float:
    """Pixels of a test view over those of a training clip."""
    how = config.data.sampling
    if how.whole:
        height, width = clips.size
        return height * width / how.crop**2
    if how.test == VIDEO and clips.frames is not None:
        return max(1.0, clips.frames / how.strides[0] / how.snippets)
    return 1.0
