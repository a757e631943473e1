"""How commands of the page are tied to its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from tuner.ui.desk import Desk
from tuner.ui.trouble import guarded

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class Acting:
    """Ties commands to events: errors become the failure card, and the page shows at once what came of it."""

    def __init__(self, desk: Desk, tick: Callable[[], Any], quick: list[Any]) -> None:
        """`tick` gives the values of `quick`, all that shows what a command made of the run."""
        self.desk, self.tick, self.quick = desk, tick, quick

    def on(self, event: Any, deed: Callable[..., Any], inputs: Any = None, outputs: Any = None) -> None:
        """`deed` gets the values of `inputs` and returns those of `outputs`."""
        self._tie(event, guarded(self.desk, deed), inputs, outputs)

    def slowly(self, busy: Any, event: Any, deed: Callable[..., Any], inputs: Any, outputs: Any) -> None:
        """The same for what may take its time: `busy` is the component that shows so."""
        self._tie(event, guarded(self.desk, deed), inputs, outputs, show_progress_on=busy)

    def word(self, event: Any, deed: Callable[[str], Any], outputs: Any = None) -> Any:
        """`deed` gets the word of the button in a `gr.HTML` that was pressed."""
        guard = guarded(self.desk, deed)

        def run(event: gr.EventData) -> Any:
            return guard(str(event.act))

        return self._tie(event, run, None, outputs)

    def _tie(self, event: Any, run: Callable[..., Any], inputs: Any, outputs: Any, **busy: Any) -> Any:
        """-> the event, to go on from."""
        shown = "minimal" if busy else "hidden"
        done = event(run, inputs, outputs, show_progress=shown, api_visibility="private", **busy)
        return done.then(self.tick, None, self.quick, **QUIET)
