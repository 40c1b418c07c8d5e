"""Every figure of the successors' tables, typed once more as the papers print them: none in a yaml changes alone."""

from __future__ import annotations

import csv
import io

import pytest

from fusionlab.results.spec import PaperRow, Spec

PRINTED = {
    "i3d_table1": """\
method,params,train_frames,train_footprint,test_frames,test_footprint
ConvNet+LSTM,9M,25 RGB,5s,50 RGB,10s
3D-ConvNet,79M,16 RGB,0.64s,240 RGB,9.6s
Two-Stream,12M,"1 RGB, 10 flow",0.4s,"25 RGB, 250 flow",10s
3D-Fused,39M,"5 RGB, 50 flow",2s,"25 RGB, 250 flow",10s
Two-Stream I3D,25M,"64 RGB, 64 flow",2.56s,"250 RGB, 250 flow",10s
""",
    "i3d_table2": """\
architecture,ucf_rgb,ucf_flow,ucf_both,hmdb_rgb,hmdb_flow,hmdb_both,kinetics_rgb,kinetics_flow,kinetics_both
LSTM,81.0,-,-,36.0,-,-,63.3 (one transcription: 63.6),-,-
3D-ConvNet,51.6,-,-,24.3,-,-,56.1,-,-
Two-Stream,83.6,85.6,91.2,43.2,56.3,58.3,62.2,52.4,65.6
3D-Fused,83.2,85.8,89.3,49.2,55.5,56.8,-,-,67.2
Two-Stream I3D,84.5,90.6,93.4,49.8,61.9,66.4,71.1,63.4,74.2
""",
    "i3d_table3": """\
architecture,kin_rgb,kin_flow,kin_both,imagenet_kin_rgb,imagenet_kin_flow,imagenet_kin_both
LSTM,53.9,-,-,63.3,-,-
3D-ConvNet,56.1,-,-,-,-,-
Two-Stream,57.9,49.6,62.8,62.2,52.4,65.6
3D-Fused,-,-,62.7,-,-,67.2
Two-Stream I3D,68.4 (88.0),61.5 (83.4),71.6 (90.0),71.1 (89.3),63.4 (84.9),74.2 (91.3)
""",
    "i3d_table4": """\
architecture,ucf_original,ucf_fixed,ucf_fullft,hmdb_original,hmdb_fixed,hmdb_fullft
LSTM,81.0/54.2,88.1/82.6,91.0/86.8,36.0/18.3,50.8/47.1,53.4/49.7
3D-ConvNet,-/51.6,-/76.0,-/79.9,-/24.3,-/47.0,-/49.4
Two-Stream,91.2/83.6,93.9/93.3,94.2/93.8,58.3/47.1,66.6/65.9,66.6/64.3
3D-Fused,89.3/69.5,94.3/89.8,94.2/91.5,56.8/37.3,69.9/64.6,71.0/66.5
Two-Stream I3D,93.4/88.8,97.7/97.4,98.0/97.6,66.4/62.2,79.7/78.6,81.2/81.3
""",
    "i3d_table5": """\
model,ucf101,hmdb51
Two-Stream,88.0,59.4
IDT,86.4,61.7
Dynamic Image Networks + IDT,89.1,65.2
TDD + IDT,91.5,65.9
Two-Stream Fusion + IDT,93.5,69.2
Temporal Segment Networks,94.2,69.4
ST-ResNet + IDT,94.6,70.3
"Deep Networks, Sports-1M",65.2,-
C3D one network,82.3,-
C3D ensemble,85.2,-
C3D ensemble + IDT,90.1,-
"RGB-I3D, ImageNet+Kinetics",95.6,74.8
"Flow-I3D, ImageNet+Kinetics",96.7,77.1
"Two-Stream I3D, ImageNet+Kinetics",98.0,80.7
"RGB-I3D, Kinetics",95.1,74.3
"Flow-I3D, Kinetics",96.5,77.3
"Two-Stream I3D, Kinetics",97.8,80.9
""",
    "s3d": """\
model,top1,top5,params,gflops
I3D,71.1,89.3,12.06M,107.89
S3D,72.2,90.6,8.77M,66.38
S3D-G,74.7,93.4,11.56M,71.38
""",
    "r2plus1d_table2": """\
net,params_printed,clip1_8f,video1_8f,clip1_16f,video1_16f
R2D,11.4M,46.7,59.5,47.0,58.9
f-R2D,11.4M,48.1,59.4,50.3,60.5
R3D,33.4M,49.4,61.8,52.5,64.2
MC2,11.4M,50.2,62.5,53.1,64.2
MC3,11.7M,50.7,62.9,53.7,64.7
MC4,12.7M,50.5,62.5,53.7,65.1
MC5,16.9M,50.3,62.5,53.7,65.1
rMC2,33.3M,49.8,62.1,53.1,64.9
rMC3,33.0M,49.8,62.3,53.2,65.0
rMC4,32.0M,49.9,62.3,53.4,65.1
rMC5,27.9M,49.4,61.2,52.1,63.1
R(2+1)D,33.3M,52.8,64.8,56.8,68.0
""",
    "r2plus1d_kinetics": """\
method,pretraining,top1,top5
I3D-RGB,none,67.5,87.2
I3D-RGB,ImageNet,72.1,90.3
I3D-Flow,ImageNet,65.3,86.2
I3D-Two-Stream,ImageNet,75.7,92.0
R(2+1)D-RGB,none,72.0,90.0
R(2+1)D-Flow,none,67.5,87.2
R(2+1)D-Two-Stream,none,73.9,90.9
R(2+1)D-RGB,Sports-1M,74.3,91.4
R(2+1)D-Flow,Sports-1M,68.5,88.1
R(2+1)D-Two-Stream,Sports-1M,75.4,91.9
""",
    "r2plus1d_transfer": """\
method,pretraining,ucf101,hmdb51
R(2+1)D-RGB,Sports-1M,93.6,66.6
R(2+1)D-Flow,Sports-1M,93.3,70.1
R(2+1)D-Two-Stream,Sports-1M,95.0,72.7
R(2+1)D-RGB,Kinetics,96.8,74.5
R(2+1)D-Flow,Kinetics,95.5,76.4
R(2+1)D-Two-Stream,Kinetics,97.3,78.7
""",
}

DATA = {"ucf101": "ucf", "hmdb51": "hmdb", "kinetics": "kinetics"}
WHICH = {"appearance": "rgb", "motion": "flow"}
Cells = dict[tuple[str, str], str]  # (the row's name in print, the column's) -> the text


def which(row: PaperRow) -> str:
    return WHICH.get(row.key.get("streams", ""), "both")


def architecture(row: PaperRow) -> str:
    assert row.name is not None
    return row.name.removesuffix(", RGB").removesuffix(", flow")


def pretrained(row: PaperRow) -> str:
    """I3D-RGB, from ImageNet -> I3D-RGB/ImageNet."""
    name, _, source = str(row.name).partition(", from ")
    return f"{name}/{source or 'none'}"


def cells_of(table: str, row: PaperRow) -> Cells:
    """What a row of a yaml says, by the places in the paper's own layout."""
    figures, key, name = dict(row.figures), row.key, str(row.name)
    if table == "i3d_table1":
        return {(name, {"parameters": "params"}.get(figure, figure)): text for figure, text in figures.items()}
    if table == "i3d_table2":
        note = " (one transcription: 63.6)" if row.remark == "one transcription has 63.6" else ""
        return {(architecture(row), f"{DATA[key['data']]}_{which(row)}"): figures["accuracy"] + note}
    if table == "i3d_table3":
        start = "imagenet_kin" if key["weights"] else "kin"
        text = figures["accuracy"] + (f" ({figures['top5']})" if "top5" in figures else "")
        return {(architecture(row), f"{start}_{which(row)}"): text}
    if table == "i3d_table4":
        columns = {"full": "fullft", "fixed": "fixed", "original": "original"}
        return {(name, f"{DATA[key['data']]}_{columns[figure]}"): text for figure, text in figures.items()}
    if table == "i3d_table5":
        return {(name, key["data"]): figures["accuracy"]}
    if table == "s3d":
        columns = {"accuracy": "top1", "parameters": "params"}
        return {(name, columns.get(figure, figure)): text for figure, text in figures.items()}
    if table == "r2plus1d_table2":
        frames = f"{key['data.sampling.snippets']}f"
        columns = {"accuracy": f"video1_{frames}", "clip": f"clip1_{frames}", "parameters": "params_printed"}
        return {(name, columns[figure]): text for figure, text in figures.items()}
    if table == "r2plus1d_kinetics":
        return {(pretrained(row), {"accuracy": "top1"}.get(figure, figure)): text for figure, text in figures.items()}
    return {(pretrained(row), key["data"]): figures["accuracy"]}


def printed_cells(table: str) -> Cells:
    found: Cells = {}
    for line in csv.DictReader(io.StringIO(PRINTED[table])):
        name = "/".join(line.pop(head) for head in list(line) if head in ("method", "architecture", "model", "net",
                                                                          "pretraining"))  # fmt: skip
        found |= {(name, head): text for head, text in line.items() if text != "-"}
    return found


@pytest.mark.parametrize("table", PRINTED)
def test_every_figure_is_the_papers(table, fakes):
    paper = Spec.of(fakes["table_spec"](table)).paper
    found = {}
    for row in paper.rows:
        assert row.certainty and row.name
        own = cells_of(table, row)
        assert all(found.get(place, text) == text for place, text in own.items())
        found |= own
    assert found == printed_cells(table)


@pytest.mark.parametrize("table", PRINTED)
def test_no_two_rows_of_the_paper_ask_for_the_same_arm(table, fakes):
    rows = Spec.of(fakes["table_spec"](table)).paper.rows
    conditions = [sorted((axis, str(value)) for axis, value in row.conditions.items()) for row in rows]
    assert all(one not in conditions[:number] for number, one in enumerate(conditions))
