"""curves.png: what is in it."""

from vad_pipeline.pipeline.train.chart import draw_chart

FIRST = {"step": 1, "epoch": 1, "normality_lr": 1e-4, "lr": 1e-4, "mil": 0.7, "event": 0.2, "total": 0.9, "best": 0}


def test_a_panel_for_each_loss_and_measure_and_a_line_for_each_seed(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **more: (drawn.append(figure), save(figure, *a, **more)))
    second = FIRST | {"step": 2, "mil": "0.5", "val_video_auc": "0.75", "best": 1}  # as they come out of a table
    draw_chart(tmp_path, {"seed 0": [FIRST, second], "seed 1": [FIRST, second]})
    (figure,) = drawn
    assert [axes.get_title() for axes in figure.axes] == ["mil", "event", "total", "val_video_auc"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2, 2]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.7, 0.5]
    assert figure.axes[3].lines[1].get_xdata().tolist() == [2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seed 0", "seed 1"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
