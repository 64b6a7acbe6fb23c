"""Files that nodes write, and their ``ui`` output in the history."""

from typing import Any

import pytest

from comfyfarm.sim.nodes import NodeError, Save
from comfyfarm.sim.values import Audio, Latent, ListValue, Mask, Model3D, Picture, Video
from tests.support.node_bench import PICTURE_SIZE, Nodes

CATS = Picture(640, 480, 3)
NOTHING_TO_SEE = Picture(1, 1)
MOVES, STILL = {"animated": [True]}, {"animated": [False]}


@pytest.mark.parametrize(
    ("class_type", "inputs", "save", "ui"),
    [
        ("SaveImage", {"images": CATS, "filename_prefix": "barn"}, Save(CATS, "output", "barn"), None),
        ("SaveImage", {"filename_prefix": "barn"}, Save(Picture(*PICTURE_SIZE), "output", "barn"), None),
        ("PreviewImage", {"images": CATS}, Save(CATS, "temp", None), None),
        ("MaskPreview", {"mask": Mask(16, 8, 2, 1.0)}, Save(Picture(16, 8, 2, 0xFFFFFF), "temp", None), STILL),
        ("SaveAnimatedWEBP", {"images": CATS, "filename_prefix": "a"},
         Save(CATS, "output", "a", ".webp", animated=True), MOVES),
        ("SaveAnimatedWEBP", {"images": Picture(8, 8), "filename_prefix": "a"},
         Save(Picture(8, 8), "output", "a", ".webp", animated=True), None),
        ("SaveAnimatedPNG", {"images": CATS, "filename_prefix": "a"},
         Save(CATS, "output", "a", ".png", animated=True), MOVES),
        ("SaveImageAdvanced", {"images": CATS, "filename_prefix": "a", "format": "exr"},
         Save(CATS, "output", "a", ".exr", underscore=False), None),
        ("SaveWEBM", {"images": CATS, "filename_prefix": "a"},
         Save(CATS, "output", "a", ".webm", animated=True), MOVES),
        ("SaveVideo", {"video": Video(CATS, 24.0), "filename_prefix": "video/a"},
         Save(CATS, "output", "video/a", ".mp4", animated=True), MOVES),
        ("SaveAudio", {"audio": Audio(5.0, count=2), "filename_prefix": "audio/a"},
         Save(Picture(1, 1, 2), "output", "audio/a", ".flac", key="audio", underscore=False), None),
        ("SaveAudioMP3", {"filename_prefix": "a"},
         Save(NOTHING_TO_SEE, "output", "a", ".mp3", key="audio", underscore=False), None),
        ("SaveAudioOpus", {"filename_prefix": "a"},
         Save(NOTHING_TO_SEE, "output", "a", ".opus", key="audio", underscore=False), None),
        ("SaveAudioAdvanced", {"filename_prefix": "a", "format": "mp3", "format__quality": "V0"},
         Save(NOTHING_TO_SEE, "output", "a", ".mp3", key="audio", underscore=False), None),
        ("PreviewAudio", {"audio": Audio(5.0)},
         Save(NOTHING_TO_SEE, "temp", None, ".flac", key="audio", underscore=False), None),
        ("SaveLatent", {"samples": Latent(8, 8, 5), "filename_prefix": "latents/a"},
         Save(NOTHING_TO_SEE, "output", "latents/a", ".latent", key="latents"), None),
        ("SaveSVGNode", {"filename_prefix": "svg/a"}, Save(NOTHING_TO_SEE, "output", "svg/a", ".svg"), None),
        ("SaveGLB", {"mesh": Model3D(), "filename_prefix": "3d/a"},
         Save(NOTHING_TO_SEE, "output", "3d/a", ".glb", key="3d"), None),
        ("SaveGLB", {"mesh": Model3D(suffix=".ply"), "filename_prefix": "3d/a"},
         Save(NOTHING_TO_SEE, "output", "3d/a", ".ply", key="3d"), None),
    ],
)  # fmt: skip
def test_an_output_node_writes_these_files_and_shows_them(
    class_type: str, inputs: dict[str, Any], save: Save, ui: dict[str, Any] | None
) -> None:
    """Key, suffix and folder are those of ComfyUI."""
    made = Nodes().run(class_type, **inputs)
    assert made.saves == (save,)
    assert made.ui == ui


def test_a_comparison_shows_both_sides_or_an_empty_one() -> None:
    both = Nodes().run("ImageCompare", image_a=CATS, image_b=Picture(8, 8))
    assert [(save.key, save.folder, save.temp, save.picture.count) for save in both.saves] == [
        ("a_images", "temp", "comfy.compare.a", 3),
        ("b_images", "temp", "comfy.compare.b", 1),
    ]
    one = Nodes().run("ImageCompare", image_a=CATS)
    assert ([save.key for save in one.saves], one.ui) == (["a_images"], {"b_images": []})


def test_an_empty_prefix_is_not_the_default_one() -> None:
    for prefix in ("", ".."):
        assert Nodes().run("SaveImage", images=CATS, filename_prefix=prefix).saves[0].prefix == prefix


def test_pictures_for_the_websocket_are_no_files() -> None:
    made = Nodes().run("SaveImageWebsocket", images=CATS)
    assert (made.sends, made.saves, made.ui) == (CATS, (), None)


@pytest.mark.parametrize("class_type", ["CheckpointSave", "ModelSave", "VAESave", "SaveLoRA", "SaveTrainingDataset"])
def test_models_and_training_data_are_saved_without_output(class_type: str) -> None:
    """ComfyUI shows nothing either."""
    made = Nodes().run(class_type, filename_prefix="a")
    assert (made.saves, made.ui) == ((), None)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("barn", "barn"),
        (5, "5"),
        (0.5, "0.5"),
        (True, "True"),
        (None, "None"),
        ({"x": 1, "y": 2}, '{\n    "x": 1,\n    "y": 2\n}'),
        (Picture(64, 32), "tensor(..., size=(1, 32, 64, 3))"),
        (Latent(64, 32), "{'samples': tensor(..., size=(1, 4, 1, 4, 8))}"),
    ],
)
def test_a_preview_of_anything_is_its_text(source: object, text: str) -> None:
    made = Nodes().run("PreviewAny", source=source)
    assert (made.ui, made.values) == ({"text": [text]}, (text,))


def test_the_size_of_a_picture_is_sent_to_all_websockets() -> None:
    """The recorded scenario ``run_text_progress_binary``: the message, and the text of the preview."""
    made = Nodes().flow(
        {
            "1": ("EmptyImage", {"width": 64, "height": 32, "batch_size": 1, "color": 0}),
            "2": ("GetImageSize", {"image": ["1", 0]}),
            "3": ("PreviewAny", {"source": ["2", 0]}),
        }
    )
    assert made["2"].text == "width: 64, height: 32\n batch size: 1"
    assert made["2"].values == (64, 32, 1)
    assert made["3"].ui == {"text": ["64"]}


def test_a_list_of_pictures_is_saved_one_by_one_under_one_key() -> None:
    made = Nodes().run("SaveImage", images=ListValue((CATS, Picture(8, 8))), filename_prefix="a")
    assert [(save.key, save.picture) for save in made.saves] == [("images", CATS), ("images", Picture(8, 8))]
    assert Nodes().run("PreviewAny", source=ListValue((1, 2))).ui == {"text": ["1", "2"]}


def test_a_3d_model_is_previewed_by_the_name_of_its_file() -> None:
    """The web page then requests the file."""
    made = Nodes().run("Preview3D", model_file="3d/barn.glb", camera_info={"zoom": 1})
    assert made.ui == {"result": ["3d/barn.glb", {"zoom": 1}, None]}


@pytest.mark.parametrize(
    ("class_type", "shown"), [("ImageCropV2", (512, 480, 3)), ("GLSLShader", (640, 480, 3)), ("Painter", (640, 480, 3))]
)
def test_some_nodes_show_what_they_pass_on(class_type: str, shown: tuple[int, int, int]) -> None:
    """They are not output nodes, but write previews."""
    made = Nodes().run(class_type, image=CATS, images__image0=CATS, width=64, height=64)
    (save,) = made.saves
    assert (save.picture.width, save.picture.height, save.picture.count) == shown
    assert (save.folder, save.prefix, made.values[0]) == ("temp", None, save.picture)


def test_text_to_video_ends_in_a_film_of_the_right_length() -> None:
    """From the empty latent through sampling, decoding and slicing to the file."""
    made = Nodes().flow(
        {
            "1": ("EmptyHunyuanLatentVideo", {"width": 848, "height": 480, "length": 73, "batch_size": 1}),
            "2": ("KSampler", {"latent_image": ["1", 0], "steps": 4}),
            "3": ("VAEDecodeTiled", {"samples": ["2", 0]}),
            "4": ("CreateVideo", {"images": ["3", 0], "fps": 24.0}),
            "5": ("Video Slice", {"video": ["4", 0], "start_time": 1.0, "duration": 1.0}),
            "6": ("GetVideoComponents", {"video": ["5", 0]}),
            "7": ("SaveVideo", {"video": ["5", 0], "filename_prefix": "video/barn"}),
        }
    )
    (save,) = made["7"].saves
    assert (save.picture, save.suffix) == (Picture(848, 480, 24), ".mp4")
    assert made["6"].values == (Picture(848, 480, 24), None, 24.0, 8)


@pytest.mark.parametrize(
    ("class_type", "inputs", "seconds"),
    [
        ("EmptyAudio", {"duration": 5.0}, 5.0),
        ("TrimAudioDuration", {"audio": Audio(10.0), "start_index": 2.0, "duration": 60.0}, 8.0),
        ("TrimAudioDuration", {"audio": Audio(10.0), "start_index": -2.0, "duration": 1.0}, 1.0),
        ("AudioConcat", {"audio1": Audio(10.0), "audio2": Audio(5.0)}, 15.0),
        ("AudioMerge", {"audio1": Audio(10.0), "audio2": Audio(5.0)}, 10.0),
        ("JoinAudioChannels", {"audio_left": Audio(10.0, channels=1), "audio_right": Audio(5.0, channels=1)}, 5.0),
        ("SplitAudioChannels", {"audio": Audio(10.0)}, 10.0),
    ],
)
def test_a_sound_is_as_long_as_it_was_made(class_type: str, inputs: dict[str, Any], seconds: float) -> None:
    assert Nodes().value(class_type, **inputs).seconds == seconds


def test_a_sound_trimmed_to_nothing_is_an_error() -> None:
    with pytest.raises(NodeError) as raised:
        Nodes().run("TrimAudioDuration", audio=Audio(10.0), start_index=20.0, duration=5.0)
    assert raised.value.exception_type == "ValueError"
    assert raised.value.message.startswith("AudioTrim: ")
