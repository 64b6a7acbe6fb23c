"""Static and dynamic: what a job's outputs are called, what is written, and what ``/view`` serves."""

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from PIL import Image

from comfyfarm.config.recorded import default_picture
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

KERNIE = {"filename": "../input/kernie_512x768.jpg", "subfolder": "", "type": "output"}


def start(memory_farm: Start, **settings: Any) -> tuple[MemoryFarm, MemoryInstance]:
    farm = memory_farm({"instance": [{"name": "gpu", **settings}]})
    return farm, farm["gpu"]


def job(gpu: MemoryInstance, prompt: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    """Run a job to its end; the answer is its history entry."""
    prompt_id = gpu.ask("POST", "/prompt", json={"prompt": prompt or text_to_image(), **body}).json()["prompt_id"]
    gpu.farm.advance(60)
    entry: dict[str, Any] = gpu.ask("GET", f"/history/{prompt_id}").json()[prompt_id]
    return entry


def images(entry: dict[str, Any], node: str = "9") -> list[dict[str, str]]:
    found: list[dict[str, str]] = entry["outputs"][node]["images"]
    return found


def view(gpu: MemoryInstance, image: dict[str, str]) -> bytes:
    reply = gpu.ask("GET", f"/view?{urlencode(image)}")
    assert reply.status == 200
    return reply.body


def everything(gpu: MemoryInstance) -> dict[str, str]:
    """Every file of an instance, by its path, with its digest."""
    home = gpu.backend.disk.input_dir.parent
    files = (path for path in home.rglob("*") if path.is_file())
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# Static.


def test_static_names_the_same_picture_for_every_job_and_writes_nothing(memory_farm: Start) -> None:
    """One entry for each output node, however big the batch."""
    _, gpu = start(memory_farm)
    before = everything(gpu)
    prompt = text_to_image(batch_size=4, prefix="a/b") | {
        "10": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    }
    for _ in range(3):
        assert job(gpu, prompt)["outputs"] == {"9": {"images": [KERNIE]}, "10": {"images": [KERNIE]}}
    assert everything(gpu) == before
    assert "input/kernie_512x768.jpg" in before
    assert {path.split("/")[0] for path in before} == {"input"}


def test_a_client_that_joins_the_output_folder_and_the_name_finds_the_picture(memory_farm: Start) -> None:
    """As clients do that share a disk with their server."""
    farm, gpu = start(memory_farm)
    (image,) = images(job(gpu))
    output_dir = farm.control("GET", "/api/farm").json()["instances"]["gpu"]["output_dir"]
    assert Path(output_dir, image["subfolder"], image["filename"]).read_bytes() == default_picture()


def test_view_serves_the_static_picture_and_nothing_else_from_outside(memory_farm: Start) -> None:
    """That one name with ``..`` in it, in that one place."""
    farm = memory_farm({"instance": [{"name": "gpu"}, {"name": "dyn", "mode": "dynamic"}]})
    assert view(farm["gpu"], KERNIE) == default_picture()
    assert view(farm["gpu"], {"filename": "kernie_512x768.jpg", "type": "input"}) == default_picture()
    for other in (
        {"filename": "../input/other.jpg"},
        {"filename": "../../etc/passwd"},
        KERNIE | {"subfolder": "x"},
        KERNIE | {"type": "input"},
        KERNIE | {"filename": "../input/../input/kernie_512x768.jpg"},
    ):
        assert farm["gpu"].ask("GET", f"/view?{urlencode(other)}").status in (400, 404)
    assert farm["dyn"].ask("GET", f"/view?{urlencode(KERNIE)}").status == 400


def test_static_takes_a_picture_of_ones_own(memory_farm: Start, tmp_path: Path) -> None:
    """Known by its name, and served as it is."""
    Image.new("RGB", (40, 20), "red").save(tmp_path / "my cat.png")
    _, gpu = start(memory_farm, input=str(tmp_path / "my cat.png"))
    (image,) = images(job(gpu))
    assert image == {"filename": "../input/my cat.png", "subfolder": "", "type": "output"}
    assert view(gpu, image) == (tmp_path / "my cat.png").read_bytes()


def test_static_and_dynamic_tell_the_same_story(memory_farm: Start) -> None:
    """Queue, websocket, history, timing: all but the names of the files."""
    farm = memory_farm({"instance": [{"name": "sta"}, {"name": "dyn", "mode": "dynamic"}]})
    heard = {}
    for name in ("sta", "dyn"):
        listener = farm[name].listen("me")
        job(farm[name], client_id="me")
        text = json.dumps([each for each in listener.heard if each["type"] != "executed"])
        (sid,) = (each["data"]["prompt_id"] for each in listener.heard if each["type"] == "execution_start")
        heard[name] = text.replace(sid, "ID")
    began = {name: text.count('"timestamp"') for name, text in heard.items()}
    assert began == {"sta": 3, "dyn": 3}
    steps = {name: [each["type"] for each in json.loads(text)] for name, text in heard.items()}
    assert steps["sta"] == steps["dyn"]


# Dynamic.


@pytest.mark.parametrize(
    ("naming", "pattern"),
    [
        ("counter", "barn_{n:05}_.png"),
        ("prompt_id", "barn_{prompt_id}{more}.png"),
        ("timestamp", "barn_{unix_ms}{more}.png"),
    ],
)
def test_every_job_gives_new_files_named_as_the_instance_does(memory_farm: Start, naming: str, pattern: str) -> None:
    """Three jobs of two pictures each, in one folder, none twice."""
    farm, gpu = start(memory_farm, mode="dynamic", naming=naming)
    names = []
    for number in range(3):
        entry = job(gpu, text_to_image(prefix="sub/barn", batch_size=2, seed=number))
        prompt_id, (_, last) = entry["prompt"][1], entry["status"]["messages"][-1]
        for index, image in enumerate(images(entry)):
            names.append(image["filename"])
            assert (image["subfolder"], image["type"]) == ("sub", "output")
            assert image["filename"] == pattern.format(
                n=2 * number + index + 1,
                prompt_id=prompt_id,
                unix_ms=last["timestamp"],
                more=f"_{index + 1}" if index else "",
            )
    assert len(set(names)) == 6
    assert {path.name for path in (gpu.backend.disk.output_dir / "sub").iterdir()} == set(names)
    assert farm.control("GET", "/healthz").status == 200


@pytest.mark.parametrize("naming", ["counter", "prompt_id", "timestamp"])
def test_jobs_of_one_moment_and_one_id_still_give_files_of_their_own(memory_farm: Start, naming: str) -> None:
    """Where nothing takes any time, and a client repeats itself."""
    timing = {"step": "0s", "node": "0s", "save": "0s"}
    farm, gpu = start(memory_farm, mode="dynamic", naming=naming, timing=timing)
    first = job(gpu)
    for _ in range(4):
        job(gpu, prompt_id=first["prompt"][1])
    names = [path.name for path in gpu.backend.disk.output_dir.iterdir()]
    assert len(names) == 5
    assert farm.farm.clock.seconds() == 300


def test_each_file_is_a_picture_of_the_size_that_the_workflow_says(memory_farm: Start) -> None:
    """And says where it comes from: the workflow as ComfyUI writes it, and a stamp of our own."""
    _, gpu = start(memory_farm, mode="dynamic")
    workflow = {"id": "w", "nodes": ["ä"]}
    entry = job(
        gpu,
        text_to_image(width=96, height=64, batch_size=2),
        extra_data={"extra_pnginfo": {"workflow": workflow}, "comfyfarm_job": "order-7"},
    )
    prompt_id = entry["prompt"][1]
    contents = [view(gpu, image) for image in images(entry)]
    for index, content in enumerate(contents):
        picture: Any = Image.open(BytesIO(content))
        assert (picture.format, picture.size, picture.mode) == ("PNG", (96, 64), "RGB")
        assert json.loads(picture.text["prompt"]) == entry["prompt"][2]
        assert json.loads(picture.text["workflow"]) == workflow
        assert json.loads(picture.text["comfyfarm"]) == {
            "instance": "gpu",
            "epoch": 1,
            "prompt_id": prompt_id,
            "job": "order-7",
            "node": "9",
            "index": index,
        }
    assert contents[0] != contents[1]


def test_no_two_pictures_of_a_farm_are_the_same_bytes(memory_farm: Start) -> None:
    """The same workflow on two instances, twice each: proof of origin."""
    farm = memory_farm({"instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic"}]})
    digests = {
        hashlib.sha256(view(farm[name], image)).hexdigest()
        for name in ("gpu-1", "gpu-2")
        for _ in range(2)
        for image in images(job(farm[name]))
    }
    assert len(digests) == 4


def test_what_is_no_picture_is_a_file_that_says_where_it_comes_from(memory_farm: Start) -> None:
    """A sound: there is one file for each of a batch, and it is served."""
    _, gpu = start(memory_farm, mode="dynamic")
    sound = {"class_type": "EmptyLatentAudio", "inputs": {"seconds": 1.0, "batch_size": 2}}
    loader = {"class_type": "VAELoader", "inputs": {"vae_name": "any.safetensors"}}
    decode = {"class_type": "VAEDecodeAudio", "inputs": {"samples": ["1", 0], "vae": ["2", 0]}}
    save = {"class_type": "SaveAudio", "inputs": {"audio": ["3", 0], "filename_prefix": "audio/hum"}}
    entry = job(gpu, {"1": sound, "2": loader, "3": decode, "4": save})
    assert entry["status"]["completed"]
    files = entry["outputs"]["4"]["audio"]
    assert [file["filename"] for file in files] == ["hum_00001.flac", "hum_00002.flac"]
    for index, file in enumerate(files):
        assert f'"node": "4", "index": {index}'.encode() in view(gpu, file)


def saved(kind: str, value: Any, name: str, **more: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": {name: value, "filename_prefix": f"{kind}/x", **more}}


NO_PICTURES: dict[str, Any] = {
    "1": {"class_type": "EmptyAudio", "inputs": {"duration": 1.0, "sample_rate": 44100, "channels": 2}},
    "2": {"class_type": "EmptyImage", "inputs": {"width": 96, "height": 64, "batch_size": 3, "color": 0}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "4": {"class_type": "MakeMesh", "inputs": {}},
    "5": {"class_type": "CreateVideo", "inputs": {"images": ["2", 0], "fps": 24.0}},
    "6": {"class_type": "MakeSVG", "inputs": {}},
    "10": saved("SaveAudio", ["1", 0], "audio"),
    "11": saved("SaveAudioMP3", ["1", 0], "audio", quality="V0"),
    "12": saved("SaveAudioOpus", ["1", 0], "audio", quality="128k"),
    "13": saved("SaveLatent", ["3", 0], "samples"),
    "14": saved("SaveSVGNode", ["6", 0], "svg"),
    "15": saved("SaveGLB", ["4", 0], "mesh"),
    "16": saved("SaveVideo", ["5", 0], "video", format="auto", codec="auto"),
    "17": saved("SaveWEBM", ["2", 0], "images", codec="vp9", fps=24.0, crf=32.0),
}

MAKERS = {"MakeMesh": {"outputs": ["MESH"]}, "MakeSVG": {"outputs": ["SVG"]}}

# The node's key for its files, their suffix, what they begin with, and from which byte on.
BEGINNINGS = {
    "10": ("audio", ".flac", b"fLaC", 0),
    "11": ("audio", ".mp3", b"ID3", 0),
    "12": ("audio", ".opus", b"OggS", 0),
    "13": ("latents", ".latent", b'{"__metadata__"', 8),
    "14": ("images", ".svg", b"<?xml", 0),
    "15": ("3d", ".glb", b"glTF", 0),
    "16": ("images", ".mp4", b"ftyp", 4),
    "17": ("images", ".webm", b"\x1a\x45\xdf\xa3", 0),
}


def test_what_is_no_picture_is_written_in_the_format_of_its_name(memory_farm: Start) -> None:
    """And served as it was written, with the proof of its origin in it."""
    _, gpu = start(memory_farm, mode="dynamic", node_types=MAKERS)
    entry = job(gpu, NO_PICTURES)
    assert entry["status"]["completed"]
    assert set(entry["outputs"]) == set(BEGINNINGS)
    for node, (key, suffix, beginning, at) in BEGINNINGS.items():
        (file,) = entry["outputs"][node][key]
        content = view(gpu, file)
        assert file["filename"] == f"x_00001{'' if key == 'audio' else '_'}{suffix}"
        assert content[at:].startswith(beginning)
        assert b"comfyfarm" in content
        assert entry["prompt"][1].encode() in content


def test_static_mode_writes_no_such_file(memory_farm: Start) -> None:
    """The one picture stands for everything."""
    _, gpu = start(memory_farm, node_types=MAKERS)
    before = everything(gpu)
    entry = job(gpu, NO_PICTURES)
    assert entry["status"]["completed"]
    assert all(entry["outputs"][node][key] == [KERNIE] for node, (key, *_) in BEGINNINGS.items())
    assert everything(gpu) == before


def test_pictures_for_looking_at_go_to_temp(memory_farm: Start) -> None:
    """And are gone when the farm stops, like all that it wrote."""
    farm, gpu = start(memory_farm, mode="dynamic")
    prompt = text_to_image() | {"9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}}
    (image,) = images(job(gpu, prompt))
    assert image["type"] == "temp"
    assert image["filename"].startswith("ComfyUI_temp_")
    assert Image.open(BytesIO(view(gpu, image))).size == (512, 512)
    home = gpu.backend.disk.input_dir.parent
    farm.stop()
    assert not home.exists()


def test_a_folder_of_ones_own_keeps_what_was_in_it(memory_farm: Start, tmp_path: Path) -> None:
    """Counting goes on after it; only what the farm wrote is removed."""
    (tmp_path / "ComfyUI_00007_.png").write_bytes(b"mine")
    farm, gpu = start(memory_farm, mode="dynamic", output_dir=str(tmp_path))
    assert images(job(gpu))[0]["filename"] == "ComfyUI_00008_.png"
    assert len(list(tmp_path.iterdir())) == 2
    farm.stop()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_files_stay_where_they_shall(memory_farm: Start, tmp_path: Path) -> None:
    farm, gpu = start(memory_farm, mode="dynamic", output_dir=str(tmp_path), keep_outputs=True)
    job(gpu)
    farm.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["ComfyUI_00001_.png"]


def test_a_static_instance_refuses_a_prefix_that_leads_outside_as_a_dynamic_one_does(memory_farm: Start) -> None:
    """The modes differ in files only."""
    ends = []
    for mode in ("static", "dynamic"):
        _, gpu = start(memory_farm, mode=mode)
        ends.append(job(gpu, text_to_image(prefix="../x"))["status"]["messages"][-1][1]["exception_message"])
    assert ends[0] == ends[1]
    assert "outside the output folder" in ends[0]


@pytest.mark.parametrize(
    "prefix",
    [
        "a\0b",
        "half \ud800",
        "long " * 60,
        "taken/x",
        "../x",
        "/etc/x",
        "a/../../x",
        "/".join(["deep"] * 1200),
    ],
)
def test_a_prefix_that_cannot_be_is_an_error_of_its_node(memory_farm: Start, prefix: str) -> None:
    """Told like any error of a node; nothing is written, no path of this machine is told, the next job runs."""
    _, gpu = start(memory_farm, mode="dynamic")
    listener = gpu.listen("me")
    (gpu.backend.disk.output_dir / "taken").write_bytes(b"a file")
    before = everything(gpu)
    entry = job(gpu, text_to_image(prefix=prefix), client_id="me")
    kind, error = entry["status"]["messages"][-1]
    assert (kind, error["node_id"]) == ("execution_error", "9")
    assert entry["outputs"] == {}
    assert str(gpu.backend.disk.output_dir) not in json.dumps(entry)
    assert everything(gpu) == before
    assert listener.types()[-3:] == ["execution_error", "status", "executing"]
    assert job(gpu)["status"]["completed"]


def test_a_full_disk_is_an_error_of_its_node(memory_farm: Start, tmp_path: Path) -> None:
    """Here: a folder that is gone and cannot be made again."""
    _, gpu = start(memory_farm, mode="dynamic", output_dir=str(tmp_path / "out"))
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_bytes(b"in the way")
    entry = job(gpu)
    assert entry["status"]["messages"][-1][0] == "execution_error"
    (tmp_path / "out").unlink()
    assert job(gpu)["status"]["completed"]


# Pictures that are named by a path.


def showing(name: str) -> dict[str, Any]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "again"}},
    }


def refused(gpu: MemoryInstance, name: str) -> bool:
    reply = gpu.ask("POST", "/prompt", json={"prompt": showing(name)})
    if reply.status == 200:
        return False
    (error,) = reply.json()["node_errors"]["1"]["errors"]
    assert (error["type"], error["details"]) == ("custom_validation_failed", f"image - Invalid image file: {name}")
    return True


@pytest.mark.parametrize("version", ["0.25.0", "0.27.0", "0.28.0"])
def test_a_picture_may_be_named_by_its_path(memory_farm: Start, version: str) -> None:
    """Absolute or with dots; from 0.28 on only inside the folder that it is looked up in."""
    _, gpu = start(memory_farm, mode="dynamic", comfyui_version=version)
    disk = gpu.backend.disk
    (made,) = images(job(gpu, text_to_image(width=64, height=32)))
    result, example = disk.output_dir / made["filename"], disk.input_dir / "example.png"
    for name in (str(example), "../input/example.png", f"{result} [output]", f"../output/{result.name} [output]"):
        entry = job(gpu, showing(name))
        assert entry["status"]["status_str"] == "success"
        with Image.open(example if "example" in name else result) as wanted, Image.open(
            BytesIO(view(gpu, images(entry)[0]))
        ) as shown:
            assert shown.size == wanted.size
    for name in (str(result), f"../output/{result.name}", f"{example} [output]"):
        if version == "0.28.0":
            assert refused(gpu, name)
        else:
            assert job(gpu, showing(name))["status"]["status_str"] == "success"


@pytest.mark.parametrize("version", ["0.25.0", "0.28.0"])
def test_a_picture_outside_the_instance_is_refused(memory_farm: Start, tmp_path: Path, version: str) -> None:
    """In every version: the files of other instances and of the machine are nobody's business."""
    settings = {"mode": "dynamic", "comfyui_version": version}
    farm = memory_farm({"instance": [{"name": "gpu", **settings}, {"name": "other", **settings}]})
    gpu, other = farm["gpu"], farm["other"]
    (tmp_path / "mine.png").write_bytes(default_picture())
    outside = (tmp_path / "mine.png", other.backend.disk.input_dir / "example.png", gpu.backend.disk.input_dir.parent)
    for name in (*map(str, outside), "../../other/input/example.png", "..", "/"):
        assert refused(gpu, name)


@pytest.mark.parametrize("name", ["", ".", "sub", "sub/", "sub [output]"])
def test_a_folder_is_taken_and_fails_when_it_is_opened(memory_farm: Start, name: str) -> None:
    """ComfyUI looks only whether something is there."""
    _, gpu = start(memory_farm, mode="dynamic")
    for folder in ("input", "output"):
        gpu.backend.disk.make_directory(folder, "sub")
    entry = job(gpu, showing(name))
    (kind, error) = entry["status"]["messages"][-1]
    assert (kind, error["node_id"], error["exception_type"]) == ("execution_error", "1", "av.error.IsADirectoryError")


@pytest.mark.parametrize("version", ["0.25.0", "0.28.0"])
def test_the_result_of_a_static_instance_can_be_the_next_jobs_input(memory_farm: Start, version: str) -> None:
    """As clients chain jobs: the name that history gives, and where it is."""
    _, gpu = start(memory_farm, comfyui_version=version)
    (image,) = images(job(gpu))
    entry = job(gpu, showing(f"{image['filename']} [{image['type']}]"))
    assert (entry["status"]["status_str"], images(entry)) == ("success", [KERNIE])
    assert refused(gpu, f"../input/../../{KERNIE['filename']} [output]")
