"""Sizes, numbers and lengths of the pictures that latents decode to."""

from typing import Any

import pytest

from comfyfarm.sim.values import Audio, AVLatent, BlindLatent, Latent, ListValue, Loaded, Mask, Model3D, Picture, Sigmas
from tests.support.node_bench import Nodes

STILL = Latent(1024, 768, 2)
FILM = Latent(832, 480, 1, 81)
PHOTO = Picture(1023, 771, 2)


@pytest.mark.parametrize(
    ("class_type", "inputs", "size"),
    [
        ("EmptyLatentImage", {"width": 1023, "height": 768, "batch_size": 3}, (1016, 768, 3)),
        ("EmptySD3LatentImage", {"width": 1024, "height": 1024, "batch_size": 1}, (1024, 1024, 1)),
        ("EmptyFlux2LatentImage", {"width": 1000, "height": 1024, "batch_size": 1}, (992, 1024, 1)),
        ("EmptyHunyuanImageLatent", {"width": 2050, "height": 2048, "batch_size": 1}, (2048, 2048, 1)),
        ("EmptyChromaRadianceLatentImage", {"width": 1001, "height": 1003, "batch_size": 1}, (1001, 1003, 1)),
        ("EmptyHunyuanLatentVideo", {"width": 848, "height": 480, "length": 25, "batch_size": 2}, (848, 480, 50)),
        ("EmptyHunyuanLatentVideo", {"width": 848, "height": 480, "length": 24, "batch_size": 1}, (848, 480, 21)),
        ("EmptyHunyuanVideo15Latent", {"width": 848, "height": 480, "length": 33, "batch_size": 1}, (848, 480, 33)),
        ("EmptyLTXVLatentVideo", {"width": 768, "height": 512, "length": 97, "batch_size": 1}, (768, 512, 97)),
        ("EmptyMochiLatentVideo", {"width": 848, "height": 480, "length": 25, "batch_size": 1}, (848, 480, 25)),
        ("EmptyCosmosLatentVideo", {"width": 1280, "height": 704, "length": 121, "batch_size": 1}, (1280, 704, 121)),
        ("Wan22ImageToVideoLatent", {"width": 1280, "height": 704, "length": 49, "batch_size": 1}, (1280, 704, 49)),
        ("EmptyQwenImageLayeredLatentImage", {"width": 640, "height": 640, "layers": 3, "batch_size": 1},
         (640, 640, 13)),
        ("VAEEncode", {"pixels": PHOTO}, (1016, 768, 2)),
        ("VAEEncode", {"pixels": PHOTO, "vae": Loaded("VAE", "flux2-vae.safetensors")}, (1008, 768, 2)),
        ("VAEEncode", {"pixels": PHOTO, "vae": Loaded("VAE", "pixel_space")}, (1023, 771, 2)),
        ("VAEEncode", {"pixels": Picture(832, 480, 20), "vae": Loaded("VAE", "wan_2.1_vae.safetensors")},
         (832, 480, 17)),
        ("VAEEncodeForInpaint", {"pixels": PHOTO, "mask": Mask(9, 9), "grow_mask_by": 6}, (1016, 768, 2)),
        ("LatentUpscale", {"samples": STILL, "width": 512, "height": 512, "crop": "center"}, (512, 512, 2)),
        ("LatentUpscale", {"samples": STILL, "width": 512, "height": 0}, (512, 384, 2)),
        ("LatentUpscale", {"samples": STILL, "width": 0, "height": 0}, (1024, 768, 2)),
        ("LatentUpscale", {"samples": STILL, "width": 8, "height": 8}, (64, 64, 2)),
        ("LatentUpscaleBy", {"samples": STILL, "scale_by": 1.5}, (1536, 1152, 2)),
        ("LatentUpscaleBy", {"samples": STILL, "scale_by": 0.33}, (336, 256, 2)),
        ("LTXVLatentUpsampler", {"samples": FILM}, (1664, 960, 81)),
        ("LTXVLatentUpsampler", {"samples": FILM, "upscale_model": Loaded("LATENT_UPSCALE_MODEL", "temporal-x2")},
         (832, 480, 161)),
        ("LatentCrop", {"samples": STILL, "width": 512, "height": 512, "x": 0, "y": 512}, (512, 256, 2)),
        ("LatentCrop", {"samples": STILL, "width": 512, "height": 512, "x": 1024, "y": 0}, (64, 512, 2)),
        ("LatentRotate", {"samples": STILL, "rotation": "270 degrees"}, (768, 1024, 2)),
        ("LatentFlip", {"samples": STILL, "flip_method": "y-axis: horizontally"}, (1024, 768, 2)),
        ("LatentBatch", {"samples1": STILL, "samples2": Latent(64, 64, 3)}, (1024, 768, 5)),
        ("BatchLatentsNode", {"latents__latent0": STILL, "latents__latent1": STILL}, (1024, 768, 4)),
        ("RepeatLatentBatch", {"samples": STILL, "amount": 3}, (1024, 768, 6)),
        ("LatentFromBatch", {"samples": STILL, "batch_index": 1, "length": 4}, (1024, 768, 1)),
        ("LatentComposite", {"samples_to": STILL, "samples_from": FILM, "x": 0, "y": 0, "feather": 0}, (1024, 768, 2)),
        ("LatentConcat", {"samples1": STILL, "samples2": STILL, "dim": "x"}, (2048, 768, 2)),
        ("LatentConcat", {"samples1": STILL, "samples2": STILL, "dim": "-y"}, (1024, 1536, 2)),
        ("LatentConcat", {"samples1": FILM, "samples2": FILM, "dim": "t"}, (832, 480, 165)),
        ("LatentCut", {"samples": STILL, "dim": "x", "index": 100, "amount": 64}, (224, 768, 2)),
        ("LatentCutToBatch", {"samples": FILM, "dim": "t", "slice_size": 1}, (832, 480, 21)),
        ("TrimVideoLatent", {"samples": FILM, "trim_amount": 1}, (832, 480, 77)),
        ("SetLatentNoiseMask", {"samples": STILL, "mask": Mask(8, 8)}, (1024, 768, 2)),
        ("LatentBlend", {"samples1": STILL, "samples2": FILM, "blend_factor": 0.5}, (1024, 768, 2)),
        ("KSampler", {"latent_image": STILL, "steps": 4}, (1024, 768, 2)),
    ],
)  # fmt: skip
def test_a_latent_decodes_to_as_many_pictures_of_that_size(
    class_type: str, inputs: dict[str, Any], size: tuple[int, int, int]
) -> None:
    """Whole blocks of pixels, and whole strides of frames."""
    made = Nodes().value("VAEDecode", samples=Nodes().value(class_type, **inputs))
    assert (made.width, made.height, made.count) == size


@pytest.mark.parametrize(
    ("class_type", "inputs", "slot", "size"),
    [
        ("WanImageToVideo", {"width": 832, "height": 480, "length": 81, "batch_size": 1}, 2, (832, 480, 81)),
        ("WanPhantomSubjectToVideo", {"width": 832, "height": 480, "length": 81, "batch_size": 1}, 3, (832, 480, 81)),
        ("HunyuanImageToVideo", {"width": 848, "height": 480, "length": 53, "batch_size": 1}, 1, (848, 480, 53)),
        ("LTXVImgToVideo", {"width": 768, "height": 512, "length": 97, "batch_size": 1}, 2, (768, 512, 97)),
        ("CosmosImageToVideoLatent", {"width": 1280, "height": 704, "length": 121, "batch_size": 1}, 0,
         (1280, 704, 121)),
        ("Kandinsky5ImageToVideo", {"width": 768, "height": 512, "length": 121, "batch_size": 1}, 3, (768, 512, 121)),
        ("ARVideoI2V", {"width": 832, "height": 480, "length": 81, "batch_size": 1}, 1, (832, 480, 81)),
        ("SVD_img2vid_Conditioning", {"width": 1024, "height": 576, "video_frames": 14}, 2, (1024, 576, 14)),
        ("StableZero123_Conditioning", {"width": 256, "height": 256, "batch_size": 4}, 2, (256, 256, 4)),
        ("WanInfiniteTalkToVideo", {"width": 832, "height": 480, "length": 81}, 3, (832, 480, 81)),
        ("WanVaceToVideo", {"width": 832, "height": 480, "length": 81, "batch_size": 1}, 2, (832, 480, 81)),
        ("InpaintModelConditioning", {"pixels": PHOTO, "mask": Mask(8, 8)}, 2, (1016, 768, 2)),
        ("InstructPixToPixConditioning", {"pixels": PHOTO}, 2, (1016, 768, 2)),
        ("SD_4XUpscale_Conditioning", {"images": Picture(128, 96, 2), "scale_ratio": 4.0}, 2, (512, 384, 2)),
        ("StableCascade_EmptyLatentImage", {"width": 1024, "height": 1024, "batch_size": 1, "compression": 42}, 1,
         (1024, 1024, 1)),
        ("StableCascade_StageC_VAEEncode", {"image": PHOTO, "compression": 32}, 0, (992, 768, 2)),
        ("HunyuanRefinerLatent", {"latent": STILL}, 2, (1024, 768, 2)),
    ],
)  # fmt: skip
def test_conditioning_nodes_give_a_latent_of_the_requested_size(
    class_type: str, inputs: dict[str, Any], slot: int, size: tuple[int, int, int]
) -> None:
    """In its declared slot; the conditionings are unknown."""
    values = Nodes().run(class_type, **inputs).values
    made = Nodes().value("VAEDecode", samples=values[slot])
    assert (made.width, made.height, made.count) == size
    assert isinstance(values[slot], Latent)
    assert values[0] is None or slot == 0 or class_type.startswith("StableCascade")


def test_a_reference_picture_takes_a_latent_step_that_is_trimmed_again() -> None:
    """WanVaceToVideo outputs the number of steps, and TrimVideoLatent removes them."""
    vace = Nodes().run("WanVaceToVideo", width=832, height=480, length=81, batch_size=1, reference_image=PHOTO)
    latent, trim = vace.values[2:]
    assert (latent.frames, trim) == (85, 1)
    assert Nodes().value("TrimVideoLatent", samples=latent, trim_amount=trim).frames == 81


def test_a_film_is_continued_where_the_last_part_ended() -> None:
    """WanAnimateToVideo outputs the number of repeated frames and the start of the next part."""
    part = Nodes().run(
        "WanAnimateToVideo", width=832, height=480, length=77, batch_size=1, reference_image=PHOTO,
        continue_motion=Picture(832, 480, 77), continue_motion_max_frames=5, video_frame_offset=77,
    )  # fmt: skip
    assert part.values[3:] == (1, 5, 149)


def test_guides_lengthen_a_film_until_they_are_cropped() -> None:
    film = Nodes().value("EmptyLTXVLatentVideo", width=768, height=512, length=97, batch_size=1)
    guided = Nodes().run("LTXVAddGuide", latent=film, image=Picture(768, 512, 9), frame_idx=0).values[2]
    sampled = Nodes().value("KSampler", latent_image=guided, steps=4)
    assert (guided.frames, Nodes().run("LTXVCropGuides", latent=sampled).values[2].frames) == (113, 97)


def test_latents_are_rebatched_by_size() -> None:
    """Five of one size in batches of two, then one of another size."""
    made = Nodes().value("RebatchLatents", latents=ListValue((STILL, Latent(1024, 768, 3), FILM)), batch_size=2)
    assert [(latent.width, latent.count) for latent in made.items] == [(1024, 2), (1024, 2), (1024, 1), (832, 1)]


def test_sounds_and_3d_models_are_sampled_without_pictures() -> None:
    """Their latents pass through, and there is no latent for previews."""
    sound = Nodes().value("EmptyAceStepLatentAudio", seconds=30.0, batch_size=2)
    sampled = Nodes().run("KSampler", latent_image=sound, steps=4)
    assert (sampled.values[0], sampled.latent, sampled.steps) == (BlindLatent(2, 30.0), None, 4)
    assert Nodes().value("VAEDecodeAudio", samples=sampled.values[0]) == Audio(30.0, count=2)
    body = Nodes().value("EmptyLatentHunyuan3Dv2", resolution=3072, batch_size=2)
    assert Nodes().value("VAEDecodeHunyuan3D", samples=body) == Model3D(2)


def test_a_film_and_its_sound_are_sampled_together_and_parted() -> None:
    """The previews show the video."""
    both = Nodes().value("LTXVConcatAVLatent", video_latent=FILM, audio_latent=BlindLatent(1, 3.0))
    sampled = Nodes().run("SamplerCustomAdvanced", latent_image=both, sigmas=Sigmas(8))
    assert (sampled.values[0], sampled.latent) == (AVLatent(FILM, BlindLatent(1, 3.0)), FILM)
    assert Nodes().run("LTXVSeparateAVLatent", av_latent=both).values == (FILM, BlindLatent(1, 3.0))


@pytest.mark.parametrize(
    ("class_type", "inputs", "steps"),
    [
        ("KSampler", {"steps": 20, "denoise": 1.0}, 20),
        ("KSampler", {"steps": 6, "denoise": 0.4}, 6),
        ("KSampler", {"steps": 6, "denoise": 0.0}, 0),
        ("KSamplerAdvanced", {"steps": 8, "start_at_step": 2, "end_at_step": 5}, 3),
        ("KSamplerAdvanced", {"steps": 20, "start_at_step": 0, "end_at_step": 10000}, 20),
        ("KSamplerAdvanced", {"steps": 20, "start_at_step": 20, "end_at_step": 10000}, 0),
        ("SamplerCustom", {"sigmas": Sigmas(7)}, 7),
        ("SamplerCustomAdvanced", {"sigmas": Sigmas(0)}, 0),
        ("TrainLoraNode", {"steps": 16}, 16),
        ("ImageUpscaleWithModel", {"image": Picture(1024, 1024, 2)}, 18),
        ("VAEDecodeTiled", {"samples": Latent(512, 512), "tile_size": 512, "overlap": 64}, 7),
        ("VAEDecode", {"samples": STILL}, 0),
    ],
)
def test_a_node_reports_as_many_steps_as_it_takes(class_type: str, inputs: dict[str, Any], steps: int) -> None:
    """As ``max`` of its progress."""
    assert Nodes().run(class_type, **inputs).steps == steps


@pytest.mark.parametrize(
    ("class_type", "inputs", "steps"),
    [
        ("BasicScheduler", {"steps": 20, "denoise": 0.5}, (20,)),
        ("BasicScheduler", {"steps": 20, "denoise": 0.0}, (0,)),
        ("KarrasScheduler", {"steps": 12}, (12,)),
        ("Flux2Scheduler", {"steps": 12}, (12,)),
        ("AlignYourStepsScheduler", {"steps": 10, "denoise": 0.5}, (5,)),
        ("SDTurboScheduler", {"steps": 4, "denoise": 1.0}, (4,)),
        ("SDTurboScheduler", {"steps": 4, "denoise": 0.2}, (2,)),
        ("ManualSigmas", {"sigmas": "14.6, 7, 0.5, .1, 0"}, (4,)),
        ("SplitSigmas", {"sigmas": Sigmas(20), "step": 8}, (8, 12)),
        ("SplitSigmas", {"sigmas": Sigmas(20), "step": 99}, (20, 0)),
        ("SplitSigmasDenoise", {"sigmas": Sigmas(20), "denoise": 0.3}, (14, 6)),
        ("SplitSigmasDenoise", {"sigmas": Sigmas(20), "denoise": 0.0}, (0, 0)),
        ("FlipSigmas", {"sigmas": Sigmas(20)}, (20,)),
    ],
)
def test_a_schedule_has_this_number_of_steps(class_type: str, inputs: dict[str, Any], steps: tuple[int, ...]) -> None:
    assert Nodes().run(class_type, **inputs).values == tuple(Sigmas(count) for count in steps)


def test_a_custom_sampler_gives_its_latent_twice() -> None:
    assert Nodes().run("SamplerCustomAdvanced", latent_image=STILL, sigmas=Sigmas(4)).values == (STILL, STILL)
