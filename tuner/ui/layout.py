"""The page: sidebar, failure card, six tabs, and the timers that keep every open tab at the state of the run.

Nothing is kept per visitor: each tab tells with every tick which state it shows, and gets an answer only when
that is not the latest one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import gradio as gr
from starlette.middleware import Middleware

from tuner.session import Session
from tuner.ui import (
    images_tab,
    markup,
    readings,
    recipe_tab,
    results_tab,
    runs_tab,
    setup_tab,
    train_tab,
    wording,
)
from tuner.ui.acting import QUIET, Acting
from tuner.ui.desk import Desk
from tuner.ui.fences import Fence
from tuner.ui.trouble import card, guarded

HOST = "127.0.0.1"
CSS, NOTICE = (Path(__file__).with_name(name) for name in ("page.css", "notice.js"))
FONT = ("system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
FONT_MONO = ("ui-monospace", "Consolas", "Menlo", "monospace")
TICK_SECONDS, SLOW_TICK_SECONDS = 1, 3


class Sidebar(NamedTuple):
    gauges: gr.HTML
    strip: gr.HTML
    pause: gr.Button
    stop: gr.Button
    notice: gr.HTML
    another: gr.Button


class Page(NamedTuple):
    """All that events read or fill. `seen` and `seen_slowly` say which state this browser tab shows."""

    seen: gr.Textbox
    seen_slowly: gr.Textbox
    sidebar: Sidebar
    trouble: gr.HTML
    tabs: gr.Tabs
    tab: dict[str, gr.Tab]
    images: images_tab.ImagesTab
    recipe: recipe_tab.RecipeTab
    train: train_tab.TrainTab
    results: results_tab.ResultsTab
    runs: runs_tab.RunsTab
    setup: setup_tab.SetupTab

    @property
    def quick(self) -> list[Any]:
        """What `tick` fills."""
        sidebar = [self.sidebar.strip, self.sidebar.pause, self.sidebar.stop]
        rooms = [*self.train.quick, *self.images.quick, *self.recipe.quick]
        return [self.seen, *sidebar, self.trouble, *rooms]

    @property
    def slow(self) -> list[Any]:
        """What `slow_tick` fills."""
        train = self.train
        live = [self.seen_slowly, self.sidebar.gauges, *self.runs.lists, *train.live]
        return [*live, train.samples, *self.results]


def build(desk: Desk) -> gr.Blocks:
    """The whole page; `serve` shows it."""
    gr.set_static_paths([desk.thumbnails])
    with gr.Blocks(title=wording.TITLE, analytics_enabled=False, delete_cache=(3600, 86400)) as blocks:
        page = _components(desk)
        _live(blocks, page, desk)
        act = Acting(desk, lambda: tick(desk, ""), page.quick)
        images_tab.tie(page.images, desk, act, page.tab["images"].select, page.tabs)
        images = [page.tabs, *page.images.shown, *page.images.editor.one]
        act.on(page.sidebar.another.click, partial(images_tab.begin_next, desk), None, images)
        looked = page.images.editor.ended.change
        act.on(looked, lambda: recipe_tab.outlook(desk), None, page.recipe.outlook)
        recipe_tab.tie(page.recipe, desk, act, page.tab["recipe"].select, page.tabs)
        answered = act.word(page.trouble.click, partial(_answer, desk), page.recipe.shown)
        look = guarded(desk, partial(images_tab.refresh, desk))
        answered.then(look, page.images.seen, page.images.shown, **QUIET)
        _runs(page, desk, act)
        setup_tab.tie(page.setup, desk, act, page.tab["setup"].select, page.tabs)
    return blocks


def serve(session: Session, port: int | None = None) -> str:
    """Serve the page over one session, on this computer alone; returns its address. Without a port: a free
    one from 7860.
    """
    desk = Desk(session)
    _, address, _ = build(desk).launch(
        server_name=HOST,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        theme=gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=FONT, font_mono=FONT_MONO),
        css_paths=[CSS],
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        max_file_size="8gb",
        app_kwargs={
            "middleware": [Middleware(Fence, hosts=[HOST, "localhost"])],
            "routes": [desk.small.route],
        },
    )
    return str(address).rstrip("/")


def _components(desk: Desk) -> Page:
    seen = gr.Textbox(visible="hidden", label="State shown")
    seen_slowly = gr.Textbox(visible="hidden", label="Pictures shown")
    sidebar = _sidebar()
    trouble = markup.region("trouble", acts=True)
    rooms: dict[str, Callable[[], Any]] = {
        "images": images_tab.build,
        "recipe": lambda: recipe_tab.build(desk),
        "train": train_tab.build,
        "results": results_tab.build,
        "runs": runs_tab.build,
        "setup": setup_tab.build,
    }
    tab, built = {}, {}
    with gr.Tabs(elem_id="tabs") as tabs:
        for name, build_room in rooms.items():
            with gr.Tab(wording.TABS[name], id=name) as tab[name]:
                built[name] = build_room()
    return Page(seen, seen_slowly, sidebar, trouble, tabs, tab, **built)


def _sidebar() -> Sidebar:
    with gr.Sidebar(width=270, elem_id="sidebar"):
        markup.region("title", value=f"<h1>{wording.TITLE}</h1>")
        strip = markup.region("strip")
        with gr.Row():
            pause = gr.Button("Pause", size="sm", interactive=False, min_width=80)
            stop = gr.Button("Stop", size="sm", variant="stop", interactive=False, min_width=80)
        another = gr.Button(wording.ANOTHER, size="sm", elem_id="another")
        gauges = markup.region("gauges")
        notice = markup.region("notice", value=readings.SWITCH, script=NOTICE.read_text(encoding="utf-8"))
    return Sidebar(gauges, strip, pause, stop, notice, another)


def tick(desk: Desk, seen: str) -> Any:
    """The values of `Page.quick`, or nothing where this browser tab shows them already."""
    stamp, view = desk.stamp, desk.view
    if stamp == seen:
        return gr.skip()
    run = train_tab.quick(desk)
    rooms = [*run, *images_tab.progress(desk), *recipe_tab.quick(desk)]
    pause = gr.update(value="Resume" if view.state == "paused" else "Pause", **run[-1])
    return [stamp, readings.strip(view), pause, run[-1], card(desk), *rooms]


def slow_tick(
    desk: Desk, seen: str, prompt: str | None, step: str | None, search: str | None = None
) -> list[Any]:
    """The values of `Page.slow`: gauges and heartbeat always, curves and log after an event, new pictures;
    the runs where they changed since the page was opened, as opening their tab shows them too.
    """
    # With what is searched for, so that an answer to an older question does not stay.
    moved, runs, pictures = f"{desk.stamp}.{quote(search or '')}", desk.runs_stamp, desk.pictures_stamp
    moved_before, runs_before, pictures_before = (seen or "  ").split(" ", 2)
    gauges = readings.gauges(desk.watchdog.look(desk.view, time.time()))
    listed = runs_tab.show(desk) if runs_before not in ("", runs) else [gr.skip()] * 2
    live = train_tab.live(desk, moved != moved_before, search)
    if pictures != pictures_before:
        shown = [train_tab.samples(desk.view), *results_tab.show(desk, prompt, step)]
    else:
        shown = [gr.skip()] * (1 + len(results_tab.ResultsTab._fields))
    return [f"{moved} {runs} {pictures}", gauges, *listed, *live, *shown]


def _live(blocks: gr.Blocks, page: Page, desk: Desk) -> None:
    """The timers, and the same at every load of the page; a running run opens its own tab."""
    looked_at = [page.results.prompt, page.results.step]
    quick, slow = (lambda seen: tick(desk, seen)), (lambda *seen: slow_tick(desk, *seen))
    gr.Timer(TICK_SECONDS).tick(quick, page.seen, page.quick, **QUIET)
    slowly = [page.seen_slowly, *looked_at, page.train.search]
    gr.Timer(SLOW_TICK_SECONDS).tick(slow, slowly, page.slow, **QUIET)
    blocks.load(lambda: tick(desk, ""), None, page.quick, **QUIET)
    blocks.load(lambda: slow_tick(desk, "", None, None), None, page.slow, **QUIET)
    blocks.load(lambda: first_tab(desk), None, page.tabs, **QUIET)
    blocks.load(guarded(desk, lambda: images_tab.show(desk)), None, page.images.shown, **QUIET)
    blocks.load(guarded(desk, lambda: recipe_tab.show(desk)), None, page.recipe.shown, **QUIET)


def first_tab(desk: Desk) -> Any:
    """Where the page opens: at the run that goes on, or broke off; at the very first start, where everything
    is set up.
    """
    if desk.view.active or desk.view.broke_off:
        return gr.Tabs(selected="train")
    return gr.Tabs(selected="setup") if desk.welcome() else gr.skip()


def _answer(desk: Desk, word: str) -> Any:
    """A button of the failure card."""
    if word == "dismiss":
        desk.settle()
        return gr.skip()
    desk.apply(int(word.removeprefix("apply:")))
    gr.Info(wording.APPLIED)
    return recipe_tab.show(desk)


def _runs(page: Page, desk: Desk, act: Acting) -> None:
    """The commands to a run, its results, and earlier runs."""
    sidebar = page.sidebar
    act.on(sidebar.pause.click, desk.pause_or_resume)
    act.on(sidebar.stop.click, partial(train_tab.stop, desk))
    train_tab.tie(page.train, desk, act)
    results_tab.tie(page.results, desk, act, page.tabs, page.recipe)
    runs_tab.tie(page.runs, desk, act, page.tab["runs"].select, page.tabs, page.recipe)
