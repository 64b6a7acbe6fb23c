"""Sizes, numbers and colours of the pictures and masks that nodes make."""

from typing import Any

import pytest

from comfyfarm.sim.files import MemoryFiles, Place
from comfyfarm.sim.nodes import NodeError
from comfyfarm.sim.values import Appearance, Audio, Latent, ListValue, Loaded, Mask, Picture
from comfyfarm.versions import behaviour_of
from tests.support.node_bench import PICTURE_SIZE, Nodes

CAT = Picture(640, 480, 2, source="cat")
TALL = Picture(480, 640, 2)
RED, BLUE = Picture(64, 32, colour=0xFF0000), Picture(64, 32, 3, colour=0x0000FF)

TOO_MUCH = (
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 13194139533312 bytes. Error code 12 (Cannot allocate memory)"
)

PADDING = "Padding size should be less than the corresponding input dimension, but got: padding"
AMBIGUOUS = "because the unspecified dimension size -1 can be any value and is ambiguous"
UNEQUAL = "Sizes of tensors must match except in"

SIZES: list[tuple[str, dict[str, Any], tuple[int, int, int]]] = [
    ("EmptyImage", {"width": 1024, "height": 768, "batch_size": 3, "color": 0}, (1024, 768, 3)),
    ("ImageScale", {"image": CAT, "width": 100, "height": 50, "crop": "center"}, (100, 50, 2)),
    ("ImageScale", {"image": CAT, "width": 320, "height": 0}, (320, 240, 2)),
    ("ImageScale", {"image": CAT, "width": 0, "height": 0}, (640, 480, 2)),
    ("ImageScaleBy", {"image": CAT, "scale_by": 1.5}, (960, 720, 2)),
    ("ImageScaleBy", {"image": CAT, "scale_by": 0.01}, (6, 5, 2)),
    ("ImageScaleToTotalPixels", {"image": CAT, "megapixels": 1.0}, (1182, 887, 2)),
    ("ImageScaleToTotalPixels", {"image": CAT, "megapixels": 1.0, "resolution_steps": 64}, (1152, 896, 2)),
    ("ImageScaleToMaxDimension", {"image": CAT, "largest_size": 1024}, (1024, 768, 2)),
    ("ImageScaleToMaxDimension", {"image": TALL, "largest_size": 1024}, (768, 1024, 2)),
    ("ResizeImagesByLongerEdge", {"images": TALL, "longer_edge": 320}, (240, 320, 2)),
    ("ResizeImagesByShorterEdge", {"images": TALL, "shorter_edge": 240}, (240, 320, 2)),
    ("FluxKontextImageScale", {"image": CAT}, (1184, 880, 2)),
    ("ImageUpscaleWithModel", {"image": CAT}, (2560, 1920, 2)),
    ("ImageUpscaleWithModel", {"image": CAT, "upscale_model": Loaded("UPSCALE_MODEL", "RealESRGAN_x2plus.pth")},
     (1280, 960, 2)),
    ("ImageUpscaleWithModel", {"image": CAT, "upscale_model": Loaded("UPSCALE_MODEL", "8x_NMKD.pth")},
     (5120, 3840, 2)),
    ("ImageUpscaleWithModel", {"image": CAT, "upscale_model": Loaded("UPSCALE_MODEL", "sharp2023.pth")},
     (2560, 1920, 2)),
    ("ImageCrop", {"image": CAT, "width": 100, "height": 50, "x": 10, "y": 10}, (100, 50, 2)),
    ("ImageCrop", {"image": CAT, "width": 512, "height": 512, "x": 600, "y": 470}, (40, 10, 2)),
    ("ImageCrop", {"image": CAT, "width": 512, "height": 512, "x": 9999, "y": 9999}, (1, 1, 2)),
    ("ImageCropV2", {"image": CAT, "crop_region": {"x": 600, "y": 0, "width": 100, "height": 100}}, (40, 100, 2)),
    ("CenterCropImages", {"images": CAT, "width": 512, "height": 512}, (512, 480, 2)),
    ("RandomCropImages", {"images": CAT, "width": 100, "height": 100, "seed": 5}, (100, 100, 2)),
    ("CropByBBoxes", {"image": CAT, "output_width": 128, "output_height": 64}, (128, 64, 2)),
    ("ImagePadForOutpaint", {"image": CAT, "left": 64, "top": 0, "right": 64, "bottom": 32}, (768, 512, 2)),
    ("ResizeAndPadImage", {"image": CAT, "target_width": 512, "target_height": 512}, (512, 512, 2)),
    ("ImageFlip", {"image": CAT, "flip_method": "x-axis: vertically"}, (640, 480, 2)),
    ("ImageRotate", {"image": CAT, "rotation": "90 degrees"}, (480, 640, 2)),
    ("ImageRotate", {"image": CAT, "rotation": "180 degrees"}, (640, 480, 2)),
    ("ImageRotate", {"image": CAT, "rotation": "none"}, (640, 480, 2)),
    ("ImageStitch", {"image1": CAT, "image2": TALL, "direction": "right"}, (1000, 480, 2)),
    ("ImageStitch", {"image1": CAT, "image2": TALL, "direction": "down", "match_image_size": False}, (640, 1120, 2)),
    ("ImageStitch", {"image1": CAT, "image2": CAT, "direction": "left", "spacing_width": 9}, (1290, 480, 2)),
    ("ImageStitch", {"image1": CAT}, (640, 480, 2)),
    ("ImageCompositeMasked", {"destination": CAT, "source": RED, "x": 0, "y": 0}, (640, 480, 2)),
    ("PorterDuffImageComposite", {"source": RED, "destination": CAT}, (64, 32, 1)),
    ("ImageGrid", {"images": CAT, "columns": 2, "cell_width": 256, "cell_height": 256, "padding": 4}, (516, 256, 1)),
    (
        "ImageMergeTileList",
        {"image_list": ListValue((CAT, CAT)), "final_width": 900, "final_height": 700},
        (900, 700, 2),
    ),
    ("ImageBatch", {"image1": CAT, "image2": BLUE}, (640, 480, 5)),
    ("BatchImagesNode", {"images__image0": CAT, "images__image1": RED, "images__image2": BLUE}, (640, 480, 6)),
    ("RepeatImageBatch", {"image": CAT, "amount": 5}, (640, 480, 10)),
    ("ImageFromBatch", {"image": BLUE, "batch_index": 1, "length": 5}, (64, 32, 2)),
    ("ImageFromBatch", {"image": BLUE, "batch_index": -1, "length": 1}, (64, 32, 1)),
    ("FrameInterpolate", {"images": BLUE, "multiplier": 4}, (64, 32, 9)),
    ("LTXVPreprocess", {"image": Picture(641, 481)}, (640, 480, 1)),
    ("ImageBlur", {"image": CAT}, (640, 480, 2)),
    ("DA3Render", {"da3_geometry": CAT}, (640, 480, 2)),
    ("RenderSplat", {"width": 640, "height": 480, "frames": -12}, (640, 480, 12)),
    ("GLSLShader", {"images__image0": CAT, "size_mode": "from_input"}, (640, 480, 2)),
    ("GLSLShader", {"images__image0": CAT, "size_mode": "custom", "size_mode__width": 9, "size_mode__height": 8},
     (9, 8, 2)),
    ("Painter", {"width": 640, "height": 512, "bg_color": "#000000"}, (640, 512, 1)),
    ("MaskToImage", {"mask": Mask(16, 8, 2)}, (16, 8, 2)),
    ("SolidMask", {"value": 0.5, "width": 16, "height": 8}, (16, 8, 1)),
    ("InvertMask", {"mask": Mask(16, 8, 2)}, (16, 8, 2)),
    ("CropMask", {"mask": Mask(16, 8), "x": 10, "y": 0, "width": 512, "height": 4}, (6, 4, 1)),
    ("MaskComposite", {"destination": Mask(16, 8), "source": Mask(64, 64), "operation": "add"}, (16, 8, 1)),
    ("GrowMask", {"mask": Mask(16, 8), "expand": 6}, (16, 8, 1)),
    ("BatchMasksNode", {"masks__mask0": Mask(16, 8), "masks__mask1": Mask(64, 64, 2)}, (16, 8, 3)),
    ("ImageToMask", {"image": CAT, "channel": "red"}, (640, 480, 2)),
    ("ImageColorToMask", {"image": CAT, "color": 0}, (640, 480, 2)),
    ("RemoveBackground", {"image": CAT}, (640, 480, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("class_type", "inputs", "size"), SIZES)
def test_a_picture_has_the_size_and_number_that_the_workflow_implies(
    class_type: str, inputs: dict[str, Any], size: tuple[int, int, int]
) -> None:
    made = Nodes().value(class_type, **inputs)
    assert (made.width, made.height, made.count) == size


@pytest.mark.parametrize(
    ("method", "inputs", "size"),
    [
        ("scale dimensions", {"width": 100, "height": 50}, (100, 50)),
        ("scale dimensions", {"width": 0, "height": 240}, (320, 240)),
        ("scale by multiplier", {"multiplier": 0.5}, (320, 240)),
        ("scale longer dimension", {"longer_size": 320}, (320, 240)),
        ("scale shorter dimension", {"shorter_size": 240}, (320, 240)),
        ("scale width", {"width": 1280}, (1280, 960)),
        ("scale height", {"height": 960}, (1280, 960)),
        ("scale total pixels", {"megapixels": 1.0}, (1182, 887)),
        ("match size", {"match": RED}, (64, 32)),
        ("match size", {"match": Mask(7, 9)}, (7, 9)),
        ("scale to multiple", {"multiple": 64}, (640, 448)),
    ],
)
@pytest.mark.parametrize("shape", [CAT, Mask(640, 480, 2)], ids=["picture", "mask"])
def test_one_node_resizes_pictures_and_masks_in_nine_ways(
    method: str, inputs: dict[str, Any], size: tuple[int, int], shape: Picture | Mask
) -> None:
    """The names of its inputs depend on the method."""
    settings = {f"resize_type__{name}": value for name, value in inputs.items()}
    made = Nodes().value("ResizeImageMaskNode", input=shape, resize_type=method, **settings)
    assert (type(made), made.width, made.height, made.count) == (type(shape), *size, 2)


@pytest.mark.parametrize(
    ("class_type", "inputs", "colour"),
    [
        ("EmptyImage", {"width": 8, "height": 8, "batch_size": 1, "color": 0x0F7A99}, 0x0F7A99),
        ("ImageInvert", {"image": RED}, 0x00FFFF),
        ("ImageInvert", {"image": CAT}, None),
        ("ImageScale", {"image": RED, "width": 8, "height": 8}, 0xFF0000),
        ("ImageBlend", {"image1": RED, "image2": BLUE, "blend_factor": 0.5, "blend_mode": "normal"}, 0x7F007F),
        ("ImageBlend", {"image1": RED, "image2": RED, "blend_factor": 1.0, "blend_mode": "screen"}, 0xFF0000),
        ("ImageBlend", {"image1": RED, "image2": BLUE, "blend_factor": 1.0, "blend_mode": "multiply"}, 0),
        ("ImageBlend", {"image1": RED, "image2": CAT, "blend_factor": 0.5, "blend_mode": "normal"}, None),
        ("ImageBlur", {"image": RED, "blur_radius": 9, "sigma": 3.0}, 0xFF0000),
        ("AdjustBrightness", {"images": RED, "factor": 0.5}, 0x7F0000),
        ("AdjustContrast", {"images": RED, "factor": 0.0}, 0x7F7F7F),
        ("Canny", {"image": RED}, 0),
        ("Canny", {"image": CAT}, None),
        ("Morphology", {"image": RED, "operation": "erode"}, 0xFF0000),
        ("Morphology", {"image": RED, "operation": "gradient"}, 0),
        ("ResizeAndPadImage", {"image": RED, "target_width": 32, "target_height": 16}, 0xFF0000),
        ("ResizeAndPadImage", {"image": RED, "target_width": 32, "target_height": 32}, None),
        ("ImageStitch", {"image1": RED, "image2": RED}, 0xFF0000),
        ("ImageStitch", {"image1": RED, "image2": RED, "spacing_width": 2}, None),
        ("ImageBatch", {"image1": RED, "image2": RED}, 0xFF0000),
        ("MaskToImage", {"mask": Mask(8, 8, value=0.5)}, 0x7F7F7F),
        ("MaskToImage", {"mask": Mask(8, 8)}, None),
        ("Painter", {"width": 64, "height": 64, "bg_color": "#00ff00"}, 0x00FF00),
    ],
)
def test_a_colour_is_known_as_long_as_it_fills_the_picture(
    class_type: str, inputs: dict[str, Any], colour: int | None
) -> None:
    """Calculated in 32-bit floats and truncated, as in ComfyUI; ``None`` is the input picture."""
    assert Nodes().value(class_type, **inputs).colour == colour


@pytest.mark.parametrize("colour", range(0, 256, 5))
def test_inverting_twice_is_at_most_one_too_low(colour: int) -> None:
    """ComfyUI truncates to bytes when it writes a file."""
    once = Nodes().value("ImageInvert", image=Picture(8, 8, colour=colour * 0x010101))
    twice = Nodes().value("ImageInvert", image=once)
    assert abs((once.colour & 0xFF) + colour - 255) <= 1
    assert abs((twice.colour & 0xFF) - colour) <= 2


@pytest.mark.parametrize(
    ("class_type", "inputs", "value"),
    [
        ("SolidMask", {"value": 0.25, "width": 8, "height": 8}, 0.25),
        ("InvertMask", {"mask": Mask(8, 8, value=0.25)}, 0.75),
        ("InvertMask", {"mask": Mask(8, 8)}, None),
        ("ThresholdMask", {"mask": Mask(8, 8, value=0.6), "value": 0.5}, 1.0),
        ("GrowMask", {"mask": Mask(8, 8, value=1.0), "expand": 9}, 1.0),
        ("FeatherMask", {"mask": Mask(8, 8, value=1.0), "left": 9}, None),
        ("MaskComposite", {"destination": Mask(8, 8, value=0.5), "source": Mask(8, 8, value=0.5),
                           "operation": "multiply"}, 0.25),
        ("MaskComposite", {"destination": Mask(8, 8, value=1.0), "source": Mask(8, 8, value=1.0),
                           "operation": "xor"}, 0.0),
        ("MaskComposite", {"destination": Mask(8, 8, value=0.5), "source": Mask(4, 4, value=0.5),
                           "operation": "add"}, None),
        ("ImageToMask", {"image": RED, "channel": "red"}, 1.0),
        ("ImageToMask", {"image": RED, "channel": "blue"}, 0.0),
        ("ImageColorToMask", {"image": RED, "color": 0xFF0000}, 1.0),
        ("ImageColorToMask", {"image": RED, "color": 0xFF0001}, 0.0),
        ("BatchMasksNode", {"masks__mask0": Mask(8, 8, value=1.0), "masks__mask1": Mask(8, 8, value=0.0)}, None),
    ],
)  # fmt: skip
def test_a_mask_of_one_value_stays_known(class_type: str, inputs: dict[str, Any], value: float | None) -> None:
    assert Nodes().value(class_type, **inputs).value == value


def test_a_mixed_batch_keeps_the_look_of_each_picture() -> None:
    """Its files show them in their order."""
    batch = Nodes().value("BatchImagesNode", images__image0=RED, images__image1=CAT, images__image2=BLUE)
    assert batch.looks == (Appearance(1, 0xFF0000), Appearance(2, None, "cat"), Appearance(3, 0x0000FF))
    assert [picture.colour for picture in batch.each()] == [0xFF0000, None, None, 0x0000FF, 0x0000FF, 0x0000FF]
    middle = Nodes().value("ImageFromBatch", image=batch, batch_index=2, length=2)
    assert middle.looks == (Appearance(1, None, "cat"), Appearance(1, 0x0000FF))
    inverted = Nodes().value("ImageInvert", image=batch)
    assert [picture.colour for picture in inverted.each()] == [0x00FFFF, None, None, 0xFFFF00, 0xFFFF00, 0xFFFF00]
    twice = Nodes().value("RepeatImageBatch", image=middle, amount=2)
    assert [picture.source for picture in twice.each()] == ["cat", None, "cat", None]


def test_a_batch_too_mixed_to_remember_shows_the_input_picture() -> None:
    """The number of pictures is right, and memory use is bounded."""
    batch = Nodes().value("ImageBatch", image1=RED, image2=CAT)
    often = Nodes().value("RepeatImageBatch", image=batch, amount=5000)
    assert (often.count, often.looks) == (15_000, (Appearance(15_000),))


def test_rebatching_makes_a_list_and_the_nodes_that_follow_run_once_per_item() -> None:
    """Seven pictures in batches of three: three, three and one."""
    made = Nodes().flow(
        {
            "1": ("EmptyImage", {"width": 8, "height": 8, "batch_size": 7, "color": 0}),
            "2": ("RebatchImages", {"images": ["1", 0], "batch_size": 3}),
            "3": ("ImageScale", {"image": ["2", 0], "width": 16, "height": 16}),
            "4": ("SaveImage", {"images": ["3", 0], "filename_prefix": "barn"}),
        }
    )
    assert [(save.picture.width, save.picture.count) for save in made["4"].saves] == [(16, 3), (16, 3), (16, 1)]


def test_pictures_of_another_size_begin_another_batch() -> None:
    made = Nodes().value("RebatchImages", images=ListValue((RED, CAT, CAT)), batch_size=3)
    assert [(picture.width, picture.count) for picture in made.items] == [(64, 1), (640, 3), (640, 1)]


def test_a_picture_is_split_into_equal_tiles_that_overlap() -> None:
    tiles = Nodes().value("SplitImageToTileList", image=CAT, tile_width=256, tile_height=256, overlap=64)
    assert tiles == ListValue((Picture(256, 256, 2, source="cat"),) * 9)
    whole = Nodes().value("SplitImageToTileList", image=CAT, tile_width=1024, tile_height=1024, overlap=64)
    assert whole == CAT


class NoPictures(MemoryFiles):
    """Files that exist, but are not pictures."""

    def size(self, place: Place) -> None:
        return None


def loader(**pictures: tuple[int, int]) -> Nodes:
    nodes = Nodes()
    nodes.files.pictures = {Place("input", "", name.replace("_", ".")): size for name, size in pictures.items()}
    return nodes


def test_an_uploaded_picture_keeps_its_size_and_its_pixels_through_the_workflow() -> None:
    """After LoadImage and scaling it shows the same file."""
    nodes = loader(cat_png=(640, 480))
    picture, mask = nodes.run("LoadImage", image="cat.png").values
    assert (picture.width, picture.height) == (mask.width, mask.height) == (640, 480)
    assert nodes.value("ImageScaleBy", image=picture, scale_by=0.5) == Picture(320, 240, source=picture.source)


def test_a_picture_that_can_have_no_alpha_comes_with_comfyuis_small_empty_mask() -> None:
    """64 x 64, whatever the picture's own size."""
    assert loader(cat_jpg=(640, 480)).run("LoadImage", image="cat.jpg").values[1] == Mask(64, 64, value=0.0)


@pytest.mark.parametrize(
    ("name", "exception_type", "message"),
    [
        ("", "av.error.IsADirectoryError", "[Errno 21] Is a directory: '/srv/comfyui/input/'"),
        ("a", "av.error.IsADirectoryError", "[Errno 21] Is a directory: '/srv/comfyui/input/a'"),
        ("../temp", "av.error.IsADirectoryError", "[Errno 21] Is a directory: '/srv/comfyui/input/../temp'"),
        ("no.png", "av.error.FileNotFoundError", "[Errno 2] No such file or directory: '/srv/comfyui/input/no.png'"),
        (
            "a/b.png [output]",
            "av.error.FileNotFoundError",
            "[Errno 2] No such file or directory: '/srv/comfyui/output/a/b.png'",
        ),
        ("/etc/passwd", "av.error.FileNotFoundError", "[Errno 2] No such file or directory: '/etc/passwd'"),
        (
            "cat.png",
            "av.error.InvalidDataError",
            "[Errno 1094995529] Invalid data found when processing input: 'avcodec_send_packet()'",
        ),
        (
            "cat.txt",
            "av.error.InvalidDataError",
            "[Errno 1094995529] Invalid data found when processing input: '/srv/comfyui/input/cat.txt'",
        ),
        (5, "AttributeError", "'int' object has no attribute 'endswith'"),
    ],
)
def test_what_cannot_be_opened_fails_as_in_comfyui(name: object, exception_type: str, message: str) -> None:
    """An empty name refers to the folder."""
    places = Place("input", "", "cat.png"), Place("input", "", "cat.txt"), Place("input", "a", "b.png")
    nodes = Nodes(NoPictures(dict.fromkeys(places, (1, 1))))
    with pytest.raises(NodeError) as raised:
        nodes.run("LoadImage", image=name)
    assert (raised.value.exception_type, raised.value.message) == (exception_type, message)


@pytest.mark.parametrize(
    ("name", "exception_type", "message"),
    [
        ("a", "IsADirectoryError", "[Errno 21] Is a directory: '/srv/comfyui/input/a'"),
        ("no.png", "FileNotFoundError", "[Errno 2] No such file or directory: '/srv/comfyui/input/no.png'"),
        ("cat.png", "PIL.UnidentifiedImageError", "cannot identify image file '/srv/comfyui/input/cat.png'"),
    ],
)
def test_an_older_version_opens_pictures_by_another_library(name: str, exception_type: str, message: str) -> None:
    places = Place("input", "", "cat.png"), Place("input", "a", "b.png")
    nodes = Nodes(NoPictures(dict.fromkeys(places, (1, 1))), behaviour_of("0.20.0"))
    with pytest.raises(NodeError) as raised:
        nodes.run("LoadImage", image=name)
    assert (raised.value.exception_type, raised.value.message) == (exception_type, message)


@pytest.mark.parametrize(
    ("class_type", "inputs", "exception_type", "message"),
    [
        ("EmptyImage", {"width": -5, "height": 8, "batch_size": 1}, "RuntimeError",
         "Trying to create tensor with negative dimension -5: [1, 8, -5, 1]"),
        ("EmptyImage", {"width": 0, "height": 8}, "IndexError", "index 0 is out of bounds for dimension 0 with size 0"),
        ("ImageScale", {"image": RED, "width": -5, "height": 8}, "RuntimeError",
         "Input and output sizes should be greater than 0, but got input (H: 32, W: 64) output (H: 8, W: -5)"),
        ("EmptyImage", {"width": 16384, "height": 16384, "batch_size": 4096}, "RuntimeError",
         TOO_MUCH),
        ("ImageToMask", {"image": RED, "channel": "alpha"}, "IndexError",
         "index 3 is out of bounds for dimension 3 with size 3"),
        ("ImageBlur", {"image": Picture(16, 8), "blur_radius": 31}, "RuntimeError",
         f"Argument #4: {PADDING} (31, 31) at dimension 3 of input [1, 3, 8, 16]"),
        ("ImageSharpen", {"image": Picture(16, 8, 2), "sharpen_radius": 8}, "RuntimeError",
         f"Argument #6: {PADDING} (8, 8) at dimension 2 of input [2, 3, 8, 16]"),
        ("MaskToImage", {"mask": Mask(0, 8)}, "RuntimeError",
         f"cannot reshape tensor of 0 elements into shape [-1, 1, 8, 0] {AMBIGUOUS}"),
        ("GrowMask", {"mask": Mask(8, 0)}, "RuntimeError",
         f"cannot reshape tensor of 0 elements into shape [-1, 0, 8] {AMBIGUOUS}"),
        ("ImageCropV2", {"image": RED, "crop_region": {"width": 0}}, "ValueError", "cannot write empty image"),
        ("ImageCropV2", {"image": RED, "crop_region": {"y": 20, "height": -5}}, "ValueError",
         "cannot write empty image"),
        ("ImageCropV2", {"image": RED, "crop_region": {"x": "3"}}, "TypeError",
         "'<' not supported between instances of 'int' and 'str'"),
        ("ImageCropV2", {"image": RED, "crop_region": {"width": "3"}}, "TypeError",
         'can only concatenate str (not "int") to str'),
        ("ImageCropV2", {"image": RED, "crop_region": {"width": None}}, "TypeError",
         "unsupported operand type(s) for +: 'NoneType' and 'int'"),
        ("ImageCropV2", {"image": RED, "crop_region": {"width": 8.5}}, "TypeError",
         "slice indices must be integers or None or have an __index__ method"),
        ("LatentConcat", {"samples1": Latent(64, 64), "samples2": Latent(64, 32), "dim": "x"}, "RuntimeError",
         f"{UNEQUAL} dimension 3. Expected size 8 but got size 4 for tensor number 1 in the list."),
        ("LTXVSeparateAVLatent", {"av_latent": Latent(64, 64)}, "IndexError", "tuple index out of range"),
        ("JoinAudioChannels", {"audio_left": Audio(1.0), "audio_right": Audio(1.0)}, "ValueError",
         "AudioJoin: Both input audios must be mono."),
        ("LoadAudio", {"audio": ""}, "av.error.IsADirectoryError",
         "[Errno 21] Is a directory: '/srv/comfyui/input/'"),
        ("LoadLatent", {"latent": ""}, "OSError", "No such device (os error 19)"),
        ("Hunyuan3Dv2ConditioningMultiView", {}, "ValueError", "torch.cat(): expected a non-empty list of Tensors"),
    ],
)  # fmt: skip
def test_what_cannot_be_fails_as_in_pytorch_and_the_other_packages(
    class_type: str, inputs: dict[str, Any], exception_type: str, message: str
) -> None:
    """Such sizes come from linked numbers, which are not validated, or do not fit to the other inputs."""
    with pytest.raises(NodeError) as raised:
        Nodes().run(class_type, **inputs)
    assert (raised.value.exception_type, raised.value.message) == (exception_type, message)


def test_a_mask_that_is_cropped_outside_is_empty() -> None:
    nodes = Nodes()
    assert nodes.value("CropMask", mask=Mask(16, 8), x=16, y=0, width=4, height=4) == Mask(0, 4)
    assert nodes.value("CropMask", mask=Mask(16, 8), x=15, y=9, width=4, height=4) == Mask(1, 0)


def test_a_picture_with_alpha_has_an_alpha_mask() -> None:
    nodes = Nodes()
    joined = nodes.value("JoinImageWithAlpha", image=RED, alpha=Mask(64, 32))
    scaled = nodes.value("ImageScale", image=joined, width=32, height=16)
    assert str(scaled) == "tensor(..., size=(1, 16, 32, 4))"
    assert nodes.value("ImageToMask", image=scaled, channel="alpha") == Mask(32, 16)
    assert nodes.run("SplitImageWithAlpha", image=scaled).values == (Picture(32, 16, colour=0xFF0000), Mask(32, 16))


def test_a_radius_smaller_than_the_picture_changes_nothing() -> None:
    assert Nodes().value("ImageBlur", image=RED, blur_radius=31) == RED


def test_a_node_of_a_custom_pack_passes_its_first_picture_through() -> None:
    """It saves the picture if no other node uses its output."""
    nodes = Nodes()
    call = nodes.call("CR Some Filter", strength=0.5, image=CAT)
    assert nodes.run("CR Some Filter", strength=0.5, image=CAT).saves[0].picture == CAT
    assert call.shows
    assert nodes.run("CLIPTextEncode", text="barn").values == (None,)


def test_a_folder_of_pictures_is_a_list_of_them() -> None:
    """In the order of their names, without other files."""
    nodes = Nodes()
    nodes.files.pictures = {Place("input", "set", "b.png"): (8, 4), Place("input", "set", "a.png"): (6, 3)}
    loaded = nodes.value("LoadImageDataSetFromFolder", folder="set")
    assert [(picture.width, picture.height) for picture in loaded.items] == [(6, 3), (8, 4)]
    assert nodes.value("LoadImageDataSetFromFolder", folder="none") == Picture(*PICTURE_SIZE)
