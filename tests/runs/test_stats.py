from gantools.runs.stats import append_line, cut_after, read_lines


def test_lines_are_cut_and_a_torn_line_is_left_out(tmp_path):
    path = tmp_path / "stats.jsonl"
    for nimg in (10, 20, 30):
        append_line(path, {"nimg": nimg})
    with path.open("a") as f:
        f.write('{"nimg": 4')
    assert [line["nimg"] for line in read_lines(path)] == [10, 20, 30]
    cut_after(path, 20)
    assert path.read_text() == '{"nimg": 10}\n{"nimg": 20}\n'
    assert read_lines(tmp_path / "none") == []
    path.write_text('{"nimg": 10}\n[1]\n{"note": 1}\n{"nimg": 30}\n')
    cut_after(path, 20)
    assert read_lines(path) == [{"nimg": 10}, {"note": 1}]
