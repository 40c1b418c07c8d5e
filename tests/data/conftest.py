import pytest
from data_fakes import Drifting

from fusionlab.data.prepare import prepare
from fusionlab.video.flow import Dis
from fusionlab.video.store import Store


@pytest.fixture(scope="session")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Drifting:
    made = Drifting(tmp_path_factory.mktemp("drifting videos"))
    made.make(made.root)
    return made


@pytest.fixture(scope="session")
def store(drifting: Drifting, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("stores")
    return Store.open(
        prepare(drifting, folder, Dis(), recipe={"data": "drifting"}, bound=8, chunk=7, say=lambda _: None)
    )
