"""The lines of tables and keys in a TOML text."""

from comfyfarm.config.toml_lines import line_of, lines_of

TEXT = '''\
# [[instance]] in a comment is none
[farm]
seed = 1

[[instance]]
name = "a"          # [x]
timing.step = "1ms"
models.checkpoints = [
    "[x]",
    "b",
]

[instance.timing.nodes]
KSampler = "2ms"

[[instance]]
input = """
[farm]
seed = 2
"""
"quoted key" = { one = 1, two = [{ three = 3 }] }
[[scenario]]
[[scenario.step]]
at = "1s"
[[scenario.step]]
at = "2s"
[[scenario]]
[[scenario.step]]
at = "3s"
'''


def test_each_key_has_the_line_at_which_its_statement_begins() -> None:
    lines = lines_of(TEXT)
    arrays = {("scenario",), ("scenario", 0, "step"), ("scenario", 1, "step")}
    assert {path: line for path, line in lines.items() if path[0] in {"farm", "scenario"} and path not in arrays} == {
        ("farm",): 2, ("farm", "seed"): 3,
        ("scenario", 0): 22, ("scenario", 0, "step", 0): 23, ("scenario", 0, "step", 0, "at"): 24,
        ("scenario", 0, "step", 1): 25, ("scenario", 0, "step", 1, "at"): 26,
        ("scenario", 1): 27, ("scenario", 1, "step", 0): 28, ("scenario", 1, "step", 0, "at"): 29,
    }  # fmt: skip
    assert lines["instance", 0, "timing", "step"] == 7
    assert lines["instance", 0, "models", "checkpoints", 1] == 8
    assert lines["instance", 0, "timing", "nodes", "KSampler"] == 14
    assert lines["instance", 1, "input"] == 17
    assert lines["instance", 1, "quoted key", "two", 0, "three"] == 21


def test_what_is_missing_has_the_line_of_its_table() -> None:
    lines = lines_of(TEXT)
    assert line_of(("instance", 1, "port"), lines) == 16
    assert line_of(("profile", "x"), lines) is None
