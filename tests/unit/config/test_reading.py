"""``config.toml``: what it means, and the one line that says what is wrong with it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfyfarm.config import ConfigError, FarmConfig, FarmSettings, InstanceConfig, Overrides, load, read
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.settings import Timing

NO_OVERRIDES = Overrides()

WRONG = {
    # The whole file.
    "x = 1": "x: unknown key",
    '[fault]\ndo = "crash"': "fault: expected [[fault]] tables",
    "profiles = []": "profiles: unknown key; did you mean 'profile'?",
    "farm = 5": "farm: expected a table, got int",
    "profile = 5": "profile: expected a table, got int",
    "instance = 5": "instance: expected [[instance]] tables",
    '[instance]\nname = "x"': "instance: expected [[instance]] tables",
    "instance = []": "instance: a farm needs at least one [[instance]]",
    "instance = [5]": "instance[0]: expected a table, got int",
    "[[instance]": "Expected ']]' at the end of an array declaration (at line 1, column 11)",
    "a =": "Invalid value (at end of document)",
    # The farm.
    "[farm]\nport = 5": "farm.port: unknown key",
    '[farm]\ncontrol_port = "a"': "farm.control_port: expected int, got str",
    "[farm]\ncontrol_port = true": "farm.control_port: expected int, got bool",
    "[farm]\ncontrol_port = 70000": "farm.control_port: expected a port from 0 to 65535, got 70000",
    "[farm]\nspeed = 0": "farm.speed: expected a number above 0, got 0.0",
    "[farm]\nspeed = -1": "farm.speed: expected a number above 0, got -1.0",
    "[farm]\nspeed = nan": "farm.speed: expected a number above 0, got nan",
    "[farm]\nspeed = inf": "farm.speed: expected a number above 0, got inf",
    '[farm]\nspeed = "fast"': "farm.speed: expected float, got str",
    "[farm]\nseed = 1.5": "farm.seed: expected int, got float",
    "[[instance]]\nport = 99999999999999999999": (
        "instance[0].port: expected a number of at most 9223372036854775807, got a greater one"
    ),
    "[farm]\nhost = 5": "farm.host: expected str, got int",
    "[farm]\nlog = 5": "farm.log: expected str, got int",
    "[farm]\ndata_dir = []": "farm.data_dir: expected str, got a list",
    '[farm]\njob_name = "user"': (
        'farm.job_name: expected "header:NAME", "extra_data.KEY", "input:NODE.INPUT", "client_id", "prompt" or "each", '
        "got 'user'"
    ),
    # An instance.
    "[[instance]]\nprot = 1": "instance[0].prot: unknown key; did you mean 'port'?",
    '[[instance]]\nvram = "24"': 'instance[0].vram: expected a size such as "512MB" or "6.9GB", got \'24\'',
    '[[instance]]\nport = "x"': "instance[0].port: expected int, got str",
    "[[instance]]\nport = 8188.0": "instance[0].port: expected int, got float",
    "[[instance]]\nport = -1": "instance[0].port: expected a port from 0 to 65535, got -1",
    "[[instance]]\nport = 65536": "instance[0].port: expected a port from 0 to 65535, got 65536",
    "[[instance]]\nname = 5": "instance[0].name: expected str, got int",
    '[[instance]]\nname = "a b"': "instance[0].name: expected letters, digits and ._- only, got 'a b'",
    '[[instance]]\nname = "a/b"': "instance[0].name: expected letters, digits and ._- only, got 'a/b'",
    '[[instance]]\nname = ""': "instance[0].name: expected letters, digits and ._- only, got ''",
    '[[instance]]\nname = ".."': "instance[0].name: expected letters, digits and ._- only, got '..'",
    '[[instance]]\nname = "ä"': "instance[0].name: expected letters, digits and ._- only, got 'ä'",
    '[[instance]]\nname = "a\\n"': "instance[0].name: expected letters, digits and ._- only, got 'a\\n'",
    '[[instance]]\nmode = "dynamik"': (
        "instance[0].mode: expected one of 'static', 'dynamic', got 'dynamik'; did you mean 'dynamic'?"
    ),
    "[[instance]]\nmode = 5": "instance[0].mode: expected str, got int",
    '[[instance]]\nnaming = "x"': (
        "instance[0].naming: expected one of 'counter', 'prompt_id', 'timestamp', got 'x'"
    ),
    '[[instance]]\nvalidation = "weak"': (
        "instance[0].validation: expected one of 'strict', 'lenient', 'off', got 'weak'"
    ),
    '[[instance]]\npreview_method = "x"': (
        "instance[0].preview_method: expected one of 'none', 'auto', 'latent2rgb', 'taesd', got 'x'"
    ),
    "[[instance]]\noutput_node = 9": "instance[0].output_node: expected str, got int",
    '[[instance]]\ncache = "lru:0"': (
        'instance[0].cache: expected "none", "ram", "classic" or "lru:N", got \'lru:0\''
    ),
    "[[instance]]\nhistory_limit = 0": "instance[0].history_limit: expected at least 1, got 0",
    "[[instance]]\nmodels = []": "instance[0].models: expected a table, got a list",
    '[[instance]]\nmodels.checkpoints = "x"': "instance[0].models.checkpoints: expected a list, got str",
    '[[instance]]\nmodels = { a = ["x"], b = ["y", 5] }': (
        'instance[0].models.b[1]: expected a file name such as "sdxl.safetensors:6.9GB", got 5'
    ),
    '[[instance]]\nopen_models = "yes"': "instance[0].open_models: expected bool, got str",
    "[[instance]]\nkeep_outputs = 1": "instance[0].keep_outputs: expected bool, got int",
    "[[instance]]\ncomfyui_version = 0.25": "instance[0].comfyui_version: expected str, got float",
    "[[instance]]\nenable_cors = 5": "instance[0].enable_cors: expected bool or str, got int",
    "[[instance]]\ninput = 5": "instance[0].input: expected str, got int",
    '[[instance]]\nmax_upload_size = "5 miles"': (
        "instance[0].max_upload_size: expected a size such as \"512MB\" or \"6.9GB\", got '5 miles'"
    ),
    # Its timing.
    '[[instance]]\ntiming = "fast"': "instance[0].timing: expected a table, got str",
    '[[instance]]\ntiming = { stepp = "5ms" }': "instance[0].timing.stepp: unknown key; did you mean 'step'?",
    "[[instance]]\ntiming = { step = 5 }": (
        'instance[0].timing.step: expected a duration such as "45ms", "1.5s", "2min" or "1h", got 5'
    ),
    '[[instance]]\ntiming = { step = "-5ms" }': (
        'instance[0].timing.step: expected a duration such as "45ms", "1.5s", "2min" or "1h", got \'-5ms\''
    ),
    '[[instance]]\n[instance.timing.nodes]\nVAEDecode = "1s"\nKSampler = "2 parsecs"': (
        'instance[0].timing.nodes.KSampler: expected a duration such as "45ms", "1.5s", "2min" or "1h", '
        "got '2 parsecs'"
    ),
    "[[instance]]\ntiming.nodes = 5": "instance[0].timing.nodes: expected a table, got int",
    # Several instances.
    "[[instance]]\n[[instance]]\nport = 1": (
        "instance[1].name: 'comfyui' is there already (with count, put {n} into the name)"
    ),
    '[[instance]]\nname = "a"\n[[instance]]\nname = "b"': "instance[1].port: 8188 is taken by instance[0] (a)",
    "[[instance]]\nport = 8180": "instance[0].port: 8180 is taken by farm.control_port",
    "[[instance]]\ncount = 0": "instance[0].count: expected 1 to 65535, got 0",
    "[[instance]]\ncount = 1000000000": "instance[0].count: expected 1 to 65535, got 1000000000",
    '[[instance]]\ncount = "x"': "instance[0].count: expected int, got str",
    "[[instance]]\ncount = 2": "instance[0].name: 'comfyui' is there already (with count, put {n} into the name)",
    '[[instance]]\nname = "g-{n}"\ncount = 3\nport = 65534': (
        "instance[0].port: expected a port from 0 to 65535, got 65536"
    ),
    '[[instance]]\nname = "g-{n}"\ncount = 2\n[[instance]]\nname = "g-2"\nport = 9000': (
        "instance[1].name: 'g-2' is there already (with count, put {n} into the name)"
    ),
    '[[instance]]\nname = "g-{n}"\ncount = 2\n[[instance]]\nname = "x"\nport = 8189': (
        "instance[1].port: 8189 is taken by instance[0] (g-2)"
    ),
    # Profiles.
    '[[instance]]\nprofile = "no"': "instance[0].profile: unknown profile 'no' (there are: none)",
    '[profile.b]\n[profile.a]\n[[instance]]\nprofile = "no"': (
        "instance[0].profile: unknown profile 'no' (there are: a, b)"
    ),
    '[[instance]]\nprofile = ["no"]': "instance[0].profile: unknown profile ['no'] (there are: none)",
    "[profile]\nx = 5": "profile.x: expected a table, got int",
    "[profile.p]\nport = 5": "profile.p.port: unknown key",
    '[profile.p]\nname = "x"': "profile.p.name: unknown key",
    "[profile.p]\ncount = 2": "profile.p.count: unknown key",
    '[profile.p]\nprofile = "p"': "profile.p.profile: unknown key",
    "[profile.p]\nzzz = 5": "profile.p.zzz: unknown key",
    '[profile.rtx4090]\ntiming = { step = "1x" }\n[[instance]]\nprofile = "rtx4090"': (
        'profile.rtx4090.timing.step: expected a duration such as "45ms", "1.5s", "2min" or "1h", got \'1x\''
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.items())
def test_what_is_wrong_is_said_in_one_line_with_file_and_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {said}"


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file or directory"), (b"\xff", "'utf-8' codec"), (b"a = " + b"[" * 5000, "recursion")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


def config(text: str, tmp_path: Path, overrides: Overrides = NO_OVERRIDES) -> FarmConfig:
    return read(msgspec.toml.decode(text), tmp_path, overrides)


def names(farm: FarmConfig) -> dict[str, int]:
    return {instance.name: instance.port for instance in farm.instance}


def test_without_a_file_there_is_one_static_instance_on_comfyuis_port(tmp_path: Path) -> None:
    farm = read({}, tmp_path)
    assert farm.instance == (InstanceConfig(),)
    assert (farm.instance[0].name, farm.instance[0].port, farm.instance[0].mode) == ("comfyui", 8188, "static")
    assert farm.farm == FarmSettings()
    assert (farm.farm.host, farm.farm.control_port, farm.farm.speed) == ("127.0.0.1", 8180, 1.0)


def test_a_count_gives_names_and_ports_that_count_up(tmp_path: Path) -> None:
    farm = config('[[instance]]\nname = "{n}-gpu-{n}"\ncount = 3\nport = 8190', tmp_path)
    assert names(farm) == {"1-gpu-1": 8190, "2-gpu-2": 8191, "3-gpu-3": 8192}
    farm = config('[[instance]]\nname = "gpu-{n}"\ncount = 2\nport = 0', tmp_path)
    assert names(farm) == {"gpu-1": 0, "gpu-2": 0}
    assert names(config('[[instance]]\nname = "gpu-{n}"', tmp_path)) == {"gpu-1": 8188}


def test_a_profile_is_what_an_instance_has_unless_it_says_otherwise(tmp_path: Path) -> None:
    """Tables key by key, lists replaced; what neither says is the default."""
    text = """
        [profile.slow]
        mode = "dynamic"
        timing = { step = "45ms", node = "5ms", nodes = { A = "1s", B = "2s" } }
        models = { checkpoints = ["a", "b"], loras = ["c"] }

        [[instance]]
        profile = "slow"
        timing = { step = "1ms", nodes = { B = "3s" } }
        models.checkpoints = ["z"]
    """
    (instance,) = config(text, tmp_path).instance
    nodes = {"A": Distribution.fixed(1000), "B": Distribution.fixed(3000)}
    assert instance.timing == Timing(
        step=Distribution.fixed(1), node=Distribution.fixed(5), save=Distribution.fixed(10), nodes=nodes
    )
    named = {folder: [model.name for model in models] for folder, models in instance.models.items()}
    assert named == {"checkpoints": ["z"], "loras": ["c"]}
    assert instance.mode == "dynamic"


def test_a_profile_may_serve_several_instances(tmp_path: Path) -> None:
    """And one may override it without touching the others."""
    text = """
        [profile.p]
        timing.nodes = { A = "1s" }
        [[instance]]
        name = "a"
        profile = "p"
        timing.nodes = { A = "9s", B = "9s" }
        [[instance]]
        name = "b"
        port = 1
        profile = "p"
    """
    _, second = config(text, tmp_path).instance
    assert second.timing.nodes == {"A": Distribution.fixed(1000)}


def test_units_are_read_as_quantities(tmp_path: Path) -> None:
    text = '[[instance]]\nmax_upload_size = "1.5MB"\ntiming = { step = "1.5s", node = "0ms" }'
    (instance,) = config(text, tmp_path).instance
    assert instance.max_upload_size == 1_572_864
    assert (instance.timing.step, instance.timing.node) == (Distribution.fixed(1500), Distribution.fixed(0))


def test_paths_count_from_the_file(tmp_path: Path) -> None:
    """Wherever twistd was started; an absolute one stays."""
    path = tmp_path / "config.toml"
    path.write_text(
        '[farm]\ndata_dir = "data"\nlog = "run.jsonl"\n[[instance]]\ninput = "cat.jpg"\noutput_dir = "/srv/out"'
    )
    farm = load(path)
    assert farm.farm.data_dir == str(tmp_path / "data")
    assert farm.farm.log == str(tmp_path / "run.jsonl")
    assert (farm.instance[0].input, farm.instance[0].output_dir) == (str(tmp_path / "cat.jpg"), "/srv/out")


TWO = '[farm]\nseed = 1\n[[instance]]\nname = "a"\n[[instance]]\nname = "b"\nport = 9000'


@pytest.mark.parametrize(
    ("overrides", "ports"),
    [
        (NO_OVERRIDES, {"a": 8188, "b": 9000}),
        (Overrides(port=7000), {"a": 7000, "b": 7001}),
        (Overrides(port=0), {"a": 0, "b": 0}),
    ],
)
def test_the_command_lines_port_is_the_first_ones_and_the_others_count_up(
    tmp_path: Path, overrides: Overrides, ports: dict[str, int]
) -> None:
    assert names(config(TWO, tmp_path, overrides)) == ports


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    """And what it does not say stays; ``--data-dir`` counts from where the command was given."""
    said = Overrides(seed=7, speed=10.0, control_port=0, data_dir="here", disable_static_return=True)
    farm = config(TWO + '\nmode = "static"', tmp_path, said)
    assert farm.farm == FarmSettings(seed=7, speed=10.0, control_port=0, data_dir="here")
    assert {instance.mode for instance in farm.instance} == {"dynamic"}
    assert config(TWO, tmp_path, Overrides(seed=0)).farm.seed == 0
    assert config(TWO, tmp_path).farm.seed == 1


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (Overrides(port=65535), "instance[1].port: expected a port from 0 to 65535, got 65536"),
        (Overrides(port=-1), "instance[0].port: expected a port from 0 to 65535, got -1"),
        (Overrides(port=8179), "instance[1].port: 8180 is taken by farm.control_port"),
        (Overrides(control_port=9000), "instance[1].port: 9000 is taken by farm.control_port"),
        (Overrides(speed=0.0), "farm.speed: expected a number above 0, got 0.0"),
    ],
)
def test_the_command_line_is_checked_like_the_file(tmp_path: Path, overrides: Overrides, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(TWO, tmp_path, overrides)
    assert str(caught.value) == said


def test_any_number_of_instances_may_ask_for_any_free_port(tmp_path: Path) -> None:
    text = '[farm]\ncontrol_port = 0\n[[instance]]\nname = "g{n}"\ncount = 100\nport = 0'
    assert set(names(config(text, tmp_path)).values()) == {0}


def test_the_demonstration_farm_is_what_its_file_says() -> None:
    """``config.toml`` at the top of the project."""
    farm = load(Path(__file__).parents[3] / "config.toml")
    assert names(farm) == {"alpha": 8188, "beta": 8189, "gamma": 8190}
    assert [instance.mode for instance in farm.instance] == ["static", "dynamic", "dynamic"]
    assert farm.farm.control_port == 8180
    assert farm.instance[2].timing.step.first > farm.instance[1].timing.step.first


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    farm: Any = read({}, tmp_path)
    with pytest.raises(AttributeError):
        farm.instance[0].port = 1
    with pytest.raises(AttributeError):
        farm.farm = None


def test_a_clock_is_real_unless_it_is_virtual() -> None:
    assert read({}, Path()).farm.clock == "real"
    assert read({"farm": {"clock": "virtual"}}, Path()).farm.clock == "virtual"


def test_there_is_no_third_clock() -> None:
    with pytest.raises(ConfigError, match=r"farm.clock: expected one of 'real', 'virtual', got 'wall'"):
        read({"farm": {"clock": "wall"}}, Path())


def test_a_virtual_clock_has_no_speed() -> None:
    with pytest.raises(ConfigError, match=r"farm.speed: a virtual clock has none"):
        read({"farm": {"clock": "virtual", "speed": 2.0}}, Path())
