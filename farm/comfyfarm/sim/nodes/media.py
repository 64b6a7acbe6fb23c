"""Nodes for sounds, videos and 3D models."""

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, first, like, outcome
from comfyfarm.sim.nodes.shapes import mask_of, part
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Audio, Model3D, Picture, Video

_UNKNOWN_RATE = 24.0
_MAX_SECONDS = 1e9


def _audio(call: NodeCall, name: str = "audio") -> Audio:
    value = call.inputs.get(name)
    return value if isinstance(value, Audio) else Audio(0.0)


@rule("EmptyAudio")
def _empty(call: NodeCall) -> NodeOutcome:
    seconds = max(0.0, min(_MAX_SECONDS, call.number("duration", 60.0)))
    return outcome(Audio(seconds, call.amount("sample_rate", 44100), call.amount("channels", 2)))


@rule("TrimAudioDuration")
def _trim(call: NodeCall) -> NodeOutcome:
    """A negative start counts from the end."""
    if call.inputs.get("audio") is None:
        return outcome(None)
    audio = _audio(call)
    start, length = call.number("start_index", 0.0), call.number("duration", 60.0)
    begin = max(0.0, min(audio.seconds, start + audio.seconds if start < 0 else start))
    end = max(0.0, min(audio.seconds, begin + length))
    if begin >= end:
        text = "AudioTrim: Start time must be less than end time and be within the audio length."
        raise NodeError("ValueError", text)
    return outcome(replace(audio, seconds=end - begin))


@rule("SplitAudioChannels")
def _split_channels(call: NodeCall) -> NodeOutcome:
    one = replace(_audio(call), channels=1)
    return outcome(one, one)


@rule("JoinAudioChannels")
def _join_channels(call: NodeCall) -> NodeOutcome:
    sounds = [sound for name in ("audio_left", "audio_right") if isinstance(sound := call.inputs.get(name), Audio)]
    if len(sounds) == 2 and any(sound.channels != 1 for sound in sounds):
        raise NodeError("ValueError", "AudioJoin: Both input audios must be mono.")
    left, right = _audio(call, "audio_left"), _audio(call, "audio_right")
    return outcome(replace(left, channels=2, seconds=min(left.seconds, right.seconds)))


@rule("AudioConcat")
def _concat(call: NodeCall) -> NodeOutcome:
    one, two = _audio(call, "audio1"), _audio(call, "audio2")
    return outcome(replace(one, seconds=min(_MAX_SECONDS, one.seconds + two.seconds)))


@rule("AudioMerge", "AudioAdjustVolume", "AudioEqualizer3Band")
def _same_length(call: NodeCall) -> NodeOutcome:
    return outcome(first(call, Audio) or Audio(0.0))


@rule("CreateVideo")
def _create_video(call: NodeCall) -> NodeOutcome:
    sound, rate = call.inputs.get("audio"), call.number("fps", 30.0)
    depth = 10 if call.integer("bit_depth", 8) == 10 else 8
    video = Video(call.picture("images"), rate, sound if isinstance(sound, Audio) else None, depth)
    return outcome(video)


@rule("GetVideoComponents")
def _video_components(call: NodeCall) -> NodeOutcome:
    video = _video(call)
    return outcome(video.frames, video.sound, video.rate, video.bit_depth)


@rule("Video Slice")
def _video_slice(call: NodeCall) -> NodeOutcome:
    """A negative start counts from the end; a length of 0 extends to the end."""
    video = _video(call)
    start = round(call.number("start_time", 0.0) * video.rate)
    length = round(call.number("duration", 0.0) * video.rate) or video.frames.count
    return outcome(replace(video, frames=part(video.frames, start, length)))


def _video(call: NodeCall) -> Video:
    value = call.inputs.get("video")
    return value if isinstance(value, Video) else Video(Picture(*call.size), _UNKNOWN_RATE)


@rule("VoxelToMesh", "VoxelToMeshBasic", "MoGePointMapToMesh", "DA3GeometryToMesh", "SplatToMesh", "TransformSplat",
      "MergeSplat", "File3DToSplat")
def _model(call: NodeCall) -> NodeOutcome:
    model = first(call, Model3D)
    return outcome(Model3D(model.count if model else 1))


@rule("SplatToFile3D")
def _splat_to_file(call: NodeCall) -> NodeOutcome:
    kind = call.word("format", "ply")
    return outcome(Model3D(suffix=f".{kind}" if kind in ("ply", "ksplat", "spz") else ".ply"))


@rule("RenderSplat")
def _render_splat(call: NodeCall) -> NodeOutcome:
    frames = max(1, abs(call.integer("frames", 1)))     # the sign is the direction of rotation
    picture = Picture(call.amount("width", 1024), call.amount("height", 1024), frames)
    return outcome(picture, mask_of(picture))


@rule("TripoSplatPreprocessImage")
def _preprocess(call: NodeCall) -> NodeOutcome:
    side = call.amount("size", 1024)
    return outcome(replace(call.picture("image"), width=side, height=side))


@rule("MoGeInference", "MoGePanoramaInference", "DA3Inference", "SAM3_VideoTrack", "MediaPipeFaceLandmarker",
      "SDPoseKeypointExtractor")
def _look_at(call: NodeCall) -> NodeOutcome:
    # What the model sees is unknown; the picture takes its place, so that the nodes that follow get its size.
    picture = first(call, Picture) or Picture(*call.size)
    return outcome(picture, *(like(call, kind) for kind in call.outputs[1:]))


@rule("MoGeRender", "DA3Render", "SDPoseDrawKeypoints", "MediaPipeFaceMeshVisualize", "WanMoveVisualizeTracks",
      "SCAIL2ColoredMask")
def _draw(call: NodeCall) -> NodeOutcome:
    picture = first(call, Picture) or Picture(*call.size)
    return outcome(*(picture if kind == "IMAGE" else None for kind in call.outputs))
