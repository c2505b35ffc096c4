"""The server's side of the compute process: it is started, asked, stopped and started again. No torch.

A question waits in its lane until the one before it is answered. Of some operations (NEWEST_WINS) a tab has one at a
time. A question that shows no sign of life for `Openable.deadline` seconds, or goes on after it was stopped, ends the
process: it is answered with an error, and the process is started again with all others, that of the other lane first.
What passed the deadline is not asked of the same model a second time, until `ask_again`; whether a question is about a
model or about a run of it.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from convscope.studio.compute.child import ComputeChild
from convscope.studio.models import Openable
from convscope.studio.protocol import (
    NEWEST_WINS,
    SAME_WORK,
    AskLane,
    StoppedWorkError,
    StudioError,
    lane_of,
)

ComputeStage = Literal["starting", "importing torch", "ready", "failed"]

MODULE = "convscope.studio.compute.process"
STOP_GRACE = 3.0  # seconds that stopped work has to end before the process is ended
MOST_WAITING = 256  # questions in a lane
MOST_OF_TAB = 64
MOST_PARTS_BYTES = 256 * 2**20  # of one question
MOST_RUNS_KNOWN = 64  # whose models are known, the newest
QUICK_ENDS = 3  # of processes that were never ready, after which none is started
_GOES_ON = "the work did not stop by itself, so the compute process was ended"


@dataclass
class Answer:
    """What one question was answered: its bytes, their media type, and for a file its name."""

    payload: bytes
    type: str
    name: str = ""


@dataclass(eq=False)
class Question:
    """One question to the compute process, and its answer when that is there."""

    number: int
    tab: str
    operation: str
    values: Mapping[str, Any]
    body: bytes
    answer: asyncio.Future[Answer]
    model: str = ""  # that it is about, or that its run is of; "" for none
    parts: list[Answer] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    alive: float = 0.0
    stop_by: float | None = None

    @property
    def lane(self) -> AskLane:
        """The thread that answers it."""
        return lane_of(self.operation, self.values)

    def is_replaced_by(self, newer: Question) -> bool:
        """Return whether nothing waits for this question any more, now that there is a newer one of the same tab."""
        same = NEWEST_WINS.get(newer.operation)
        if same is None or (self.tab, self.operation) != (newer.tab, newer.operation):
            return False
        return all(self.values.get(name) == newer.values.get(name) for name in same)

    @property
    def work(self) -> str:
        """What it asks of its model: the operation, and what else tells one piece of work from another."""
        return " ".join((self.operation, *(str(self.values.get(name)) for name in SAME_WORK.get(self.operation, ()))))

    def is_of(self, model: str, work: str) -> bool:
        """Return whether this asks a model for some work; without its graph a model gives nothing else either."""
        return self.model == model and work in ("graph", self.work)

    def fail(self, error: StudioError) -> None:
        """Answer with an error, unless it is answered."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # read once, or asyncio logs it as lost where no request waits any more
        self.told.set()


class ComputeClient:
    """Starts the compute process and asks it; all methods belong to the event loop."""

    def __init__(self, openable: Openable, *, command: list[str] | None = None) -> None:
        self._openable = openable
        self._command = [sys.executable, "-P", "-m", MODULE] if command is None else command
        self._numbers = itertools.count(1)
        self._waiting: dict[AskLane, deque[Question]] = {"fast": deque(), "slow": deque()}
        self._running: dict[AskLane, Question | None] = {"fast": None, "slow": None}
        self._child: ComputeChild | None = None
        self._watch: asyncio.Task[None] | None = None
        self._unready_ends = 0
        self._expired: dict[tuple[str, str], str] = {}  # why, by the model and the work that passed the deadline
        self._run_models: dict[str, str] = {}  # the model of each run that this process has made
        self.stage: ComputeStage = "starting"
        self.text = ""  # what there is to say of the stage

    def start(self) -> None:
        """Start the process; returns at once."""
        self.stage = "starting"
        try:
            self._child = ComputeChild(
                self._command,
                self._openable,
                asyncio.get_running_loop(),
                on_frame=self._received,
                on_end=self._ended,
            )
        except OSError as error:
            self._give_up(f"the compute process can't be started: {error.strerror or error}")
        if self._watch is None:
            self._watch = asyncio.create_task(self._watched())

    async def close(self) -> None:
        """End the process."""
        if self._watch is not None:
            self._watch.cancel()
        child, self._child = self._child, None
        if child is not None:
            await asyncio.to_thread(child.end)
        self._fail_all(StudioError("the studio was ended in the terminal", "stopped"))

    async def ask(self, operation: str, values: Mapping[str, Any], *, tab: str, body: bytes = b"") -> Answer:
        """Return the answer to a question.

        Raises:
            StudioError: what the compute process said, that it was stopped, replaced, or that the process ended.
        """
        question = self.submit(operation, values, tab=tab, body=body)
        try:
            return await question.answer
        except asyncio.CancelledError:
            self.stop_question(question)
            raise

    def submit(self, operation: str, values: Mapping[str, Any], *, tab: str, body: bytes = b"") -> Question:
        """Put a question into its lane and return it.

        Raises:
            StudioError: of kind "busy": too many wait; of kind "deadline": the model passed it before; of kind
                "internal": there is no compute process.
        """
        if self.stage == "failed":
            raise StudioError(self.text, "internal")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        question = Question(next(self._numbers), tab, operation, values, body, answer, self._model_of(values))
        if (expired := self._expiry(question)) is not None:
            raise expired
        waiting = self._waiting[question.lane]
        for older in self._of_tab(tab):
            if older.is_replaced_by(question):
                self.stop_question(older, StoppedWorkError())
        if len(waiting) >= MOST_WAITING or sum(other.tab == tab for other in waiting) >= MOST_OF_TAB:
            raise StudioError(f"{len(waiting)} questions wait already: wait until they are answered", "busy")
        waiting.append(question)
        self._next(question.lane)
        return question

    def stop_tab(self, tab: str) -> int:
        """Stop all that a tab has asked; return how many questions that were."""
        found = self._of_tab(tab)
        for question in found:
            self.stop_question(question, StoppedWorkError("stopped"), grace=STOP_GRACE)
        return len(found)

    def stop_question(
        self, question: Question, error: StudioError | None = None, *, grace: float | None = None
    ) -> None:
        """Stop one question: it is answered at once; after `grace` seconds the process ends, should it go on."""
        waiting = self._waiting[question.lane]
        if question in waiting:
            waiting.remove(question)
        elif self._running[question.lane] is question and self._child is not None:
            self._child.send({"stop": [question.number]})
            if grace is not None:
                question.stop_by = time.monotonic() + grace
        question.fail(error or StoppedWorkError("stopped"))

    def ask_again(self) -> int:
        """Let all that passed the deadline be asked again; return how many operations that were."""
        count = len(self._expired)
        self._expired.clear()
        return count

    def _model_of(self, values: Mapping[str, Any]) -> str:
        """Return the model that a question is about, or that its run is of; "" where it is about none."""
        return str(values.get("model") or self._run_models.get(str(values.get("run")), ""))

    def _expiry(self, question: Question) -> StudioError | None:
        """Return the error of a question that passed the deadline before; None of any other."""
        found = (why for (model, work), why in self._expired.items() if question.is_of(model, work))
        return next((StudioError(f"not tried again: {why}", "deadline") for why in found), None)

    def _expire(self, late: Question) -> str:
        """Note that a question passed the deadline, answer those that wait for the same, and return why it ended."""
        why = (
            f"no step ended in {self._openable.deadline:g} s, so the compute process was ended: the model may never "
            "end, or needs a longer deadline than the studio was started with"
        )
        late.fail(StudioError(why, "deadline"))
        if not late.model:
            return why
        self._expired[late.model, late.work] = why
        for waiting in self._waiting.values():
            for other in [other for other in waiting if other.is_of(late.model, late.work)]:
                waiting.remove(other)
                other.fail(StudioError(why, "deadline"))
        return why

    def _of_tab(self, tab: str) -> list[Question]:
        """Return the questions of a tab; of a tab's second network, "ID.b", too where the whole tab is meant."""
        every = [*self._waiting["fast"], *self._waiting["slow"], *filter(None, self._running.values())]
        return [question for question in every if question.tab == tab or question.tab.startswith(f"{tab}.")]

    def _next(self, lane: AskLane) -> None:
        """Send the next question of a lane, where none is being answered."""
        if self.stage != "ready" or self._running[lane] is not None or not self._waiting[lane]:
            return
        assert self._child is not None
        question = self._running[lane] = self._waiting[lane].popleft()
        question.alive = time.monotonic()
        self._child.send(
            {"id": question.number, "operation": question.operation, "values": question.values}, question.body
        )

    def _received(self, child: ComputeChild, envelope: dict[str, Any], payload: bytes) -> None:
        if child is not self._child:
            return
        if "stage" in envelope:
            kept = "" if envelope["stage"] == "ready" else self.text
            self.stage, self.text = envelope["stage"], envelope.get("error", kept)
            if self.stage == "ready":
                self._unready_ends = 0
                for lane in self._waiting:
                    self._next(lane)
            elif self.stage == "failed":
                self._fail_all(StudioError(self.text, "internal"))
            return
        question = next((found for found in self._running.values() if found and found.number == envelope["id"]), None)
        if question is None:
            return
        lane = question.lane
        question.alive = time.monotonic()
        if "alive" in envelope:
            return
        if envelope.get("part"):
            if sum(len(part.payload) for part in question.parts) + len(payload) <= MOST_PARTS_BYTES:
                question.parts.append(Answer(payload, envelope["type"]))
            question.told.set()
            return
        self._running[lane] = None
        if "run" in envelope:
            self._run_models.pop(envelope["run"], None)  # a run that is asked for again is the newest
            self._run_models[envelope["run"]] = question.model
            if len(self._run_models) > MOST_RUNS_KNOWN:
                del self._run_models[next(iter(self._run_models))]
        if "error" in envelope:
            question.fail(StudioError(envelope["error"], envelope["kind"]))
        elif not question.answer.done():
            question.answer.set_result(Answer(payload, envelope["type"], envelope.get("name", "")))
        question.told.set()
        self._next(lane)

    def _ended(self, child: ComputeChild, code: int) -> None:
        if child is not self._child:
            return
        self._restart(_why_ended(code))

    def _restart(self, why: str) -> None:
        """Answer what the process was asked with an error, and start it again; what waits is kept."""
        was_ready = self.stage == "ready"
        self._run_models.clear()
        for lane, question in self._running.items():
            self._running[lane] = None
            if question is not None:
                question.fail(StudioError(why, "internal"))
        self._unready_ends = 0 if was_ready else self._unready_ends + 1
        if self._unready_ends >= QUICK_ENDS:
            self._give_up(f"{why}; it was started {QUICK_ENDS} times: see the terminal")
            return
        self.text = f"{why}; it was started again"
        self.start()

    def _give_up(self, why: str) -> None:
        """Answer every question with an error from now on."""
        self._child = None
        self.stage, self.text = "failed", why
        self._fail_all(StudioError(why, "internal"))

    async def _watched(self) -> None:
        """Look after the questions that are being answered, until the client is closed."""
        while True:
            await asyncio.sleep(0.2)
            self._look_after(time.monotonic())

    def _look_after(self, now: float) -> None:
        """End the process where a question goes on too long: of several the one without a sign of life for longest.

        A late question that the slow lane's may hold up is left until that one is late itself, or is seen to go on.
        """
        running = sorted(filter(None, self._running.values()), key=lambda question: question.alive)
        for question in running:
            stopped = question.stop_by is not None and now > question.stop_by
            late = now > question.alive + self._openable.deadline
            if not stopped and (not late or self._may_be_held(question)):
                continue
            self._requeue([other for other in running if other is not question])
            why = _GOES_ON if stopped else self._expire(question)
            child, self._child = self._child, None
            if child is not None:
                threading.Thread(target=child.end, daemon=True).start()
            self._restart(why)
            return

    def _may_be_held(self, question: Question) -> bool:
        """Return whether the slow lane's question may be why another one shows no sign of life.

        It runs the model: where that holds the interpreter, neither shows a sign. The other question is late once the
        slow one has shown a sign well after it; else the slow one passes the deadline too.
        """
        slow = self._running["slow"]
        if slow is None or slow is question:
            return False
        return slow.alive <= question.alive + self._openable.deadline / 2

    def _requeue(self, questions: list[Question]) -> None:
        """Let questions that were being answered wait for the next process, before all others of their lanes."""
        for question in questions:
            self._running[question.lane] = None
            if not question.answer.done():
                self._waiting[question.lane].appendleft(question)

    def _fail_all(self, error: StudioError) -> None:
        for lane in self._waiting:
            for question in (*self._waiting[lane], self._running[lane]):
                if question is not None:
                    question.fail(error)
            self._waiting[lane].clear()
            self._running[lane] = None


def _why_ended(code: int) -> str:
    if code >= 0:
        return f"the compute process ended (exit {code})"
    memory = ": memory may be short" if code == -signal.SIGKILL else ""
    with suppress(ValueError):
        return f"the compute process was ended by {signal.Signals(-code).name}{memory}"
    return f"the compute process was ended by signal {-code}"
