"""Train one stage: the loop, read from top to bottom."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import get_scheduler

from strop.errors import MachineError, Problem
from strop.models.network import Network
from strop.recipe.sections import Stage
from strop.records.answers import Answers
from strop.records.files import read_json, write_json
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.training.average import WeightAverage
from strop.training.checkpoints import (
    Progress,
    latest_checkpoint,
    load_weights,
    put_weights,
    remove_checkpoints,
    save_checkpoint,
    save_weights,
    trainable_weights,
)
from strop.training.feed import Feed
from strop.training.history import History
from strop.training.parameters import build_optimizer, choose_trainable
from strop.training.watch import Watcher

LINES_PER_STAGE = 100


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found: the primary metric, further ones, and the predictions behind them."""

    score: float
    metrics: Mapping[str, float]
    predictions: Predictions | Answers


@dataclass(frozen=True)
class StageJob:
    """All that one stage needs.

    Attributes:
        name: What to call the stage to a person.
        number: Its position in the recipe, from 0.
        stage: The recipe's section.
        feed: Gives what the stage trains on, for the network as the stage finds it.
        evaluate: Predicts and scores the validation part; is given what the stage trains on, which may hold features.
        higher_is_better: Direction of the primary metric.
        start: What the weights that the stage begins with were found to reach, None where that is unknown.
        folder: The stage's folder.
        seed: Seeds order and dropout.
        note: Receives ledger entries.
    """

    name: str
    number: int
    stage: Stage
    feed: Callable[[Network], Feed]
    evaluate: Callable[[Network, Feed], Evaluated]
    higher_is_better: bool
    start: float | None
    folder: Path
    seed: int
    note: Callable[[Entry], None]


def train_stage(job: StageJob, network: Network, accelerator: Accelerator, watcher: Watcher) -> Progress:
    """Train a stage to its end, from the newest checkpoint if there is one; leave its best weights in the network.

    Args:
        job: What to train on and how.
        network: As the stage before left it.
        accelerator: Device and precision.
        watcher: Receives news.

    Returns:
        How the stage ended.

    Raises:
        MachineError: Out of memory, or out of disk.
    """
    chosen = choose_trainable(network, job.stage, job.number)
    ended = job.folder / "ended.json"
    if ended.exists():
        progress = Progress(**read_json(ended))
        _put_best(job, network, progress)
        return progress
    run = _StageRun(job, network, accelerator, chosen)
    run.resume()
    watcher.stage_began(job.name, run.n_steps, run.progress.step)
    try:
        while not run.progress.is_done:
            run.step(watcher)
    except torch.OutOfMemoryError as error:
        raise MachineError(_out_of_memory(job, error)) from error
    run.end(ended)
    watcher.stage_ended()
    return run.progress


class _StageRun:
    """The moving parts of a stage in training."""

    def __init__(
        self, job: StageJob, network: Network, accelerator: Accelerator, chosen: list[tuple[str, nn.Parameter]]
    ) -> None:
        stage = job.stage
        self.job, self.network, self.accelerator, self.chosen = job, network, accelerator, chosen
        self.feed = job.feed(network)
        self.batches_of_epoch: tuple[int, list[Any]] = (-1, [])
        self.n_batches = len(self._plan(0))
        self.steps_per_epoch = self.n_batches / stage.gradient_accumulation
        self.n_steps = max(1, ceil(stage.epochs * self.steps_per_epoch))
        torch.manual_seed(job.seed)
        optimizer = build_optimizer(network, chosen, stage)
        self.schedule = get_scheduler(
            stage.schedule if stage.schedule != "constant" else "constant_with_warmup",
            optimizer,
            num_warmup_steps=floor(stage.warmup_fraction * self.n_steps),
            num_training_steps=self.n_steps,
        )
        self.optimizer = accelerator.prepare_optimizer(optimizer)
        self.average = WeightAverage(chosen, stage.weight_average) if stage.weight_average else None
        self.history = History(job.folder / "history.jsonl")
        self.progress = Progress(best_score=job.start)
        self.best_weights = trainable_weights(chosen)
        self.loss_sum, self.n_summed = 0.0, 0
        self.saved_at = self.began = time.monotonic()

    def _plan(self, epoch: int) -> list[Any]:
        if self.batches_of_epoch[0] != epoch:
            self.batches_of_epoch = (epoch, self.feed.plan(epoch))
        return self.batches_of_epoch[1]

    def resume(self) -> None:
        """Take up the newest whole checkpoint."""
        found, entries = latest_checkpoint(self.job.folder / "checkpoints")
        for entry in entries:
            self.job.note(entry)
        if found is not None:
            self.progress, weights, extra = found
            put_weights(self.network, weights)
            self.optimizer.load_state_dict(extra["optimizer"])
            self.schedule.load_state_dict(extra["schedule"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(extra["scaler"])
            if self.average is not None:
                self.average.restore(extra["average"])
            self.best_weights = extra["best"]
            self.loss_sum, self.n_summed = extra["loss_sum"], extra["n_summed"]
            torch.set_rng_state(extra["random"])
            if extra["random_cuda"]:
                torch.cuda.set_rng_state_all(extra["random_cuda"])
        self.history.begin_after(self.progress.step)

    def step(self, watcher: Watcher) -> None:
        """One optimiser step, and what is due after it."""
        self.network.train()
        passes = self.feed.passes([self._batch(number) for number in self._batch_numbers()], self.accelerator.device)
        loss = sum(self._backward(one) for one in passes)
        if self.accelerator.scaler is not None:
            self.accelerator.unscale_gradients(self.optimizer)
        torch.nn.utils.clip_grad_norm_([parameter for _, parameter in self.chosen], self.job.stage.max_gradient_norm)
        rate = max(self.schedule.get_last_lr())
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.progress.step += 1
        self.loss_sum, self.n_summed = self.loss_sum + loss, self.n_summed + 1
        if self.average is not None:
            self.average.update(self.progress.step)
        watcher.step_done(self.progress.step, loss, rate)
        self._write_line_if_due(rate)
        if self._evaluation_is_due():
            self._evaluate(watcher)
        if self.progress.step >= self.n_steps:
            self.progress.is_done = True
        if not self.progress.is_done and time.monotonic() - self.saved_at >= self.job.stage.checkpoint_seconds:
            self.save()

    def _batch_numbers(self) -> range:
        first = self.progress.step * self.job.stage.gradient_accumulation
        return range(first, first + self.job.stage.gradient_accumulation)

    def _batch(self, number: int) -> Any:
        epoch, at = divmod(number, self.n_batches)
        return self._plan(epoch)[at]

    def _backward(self, one: Any) -> float:
        loss = self.feed.loss(self.network, one, self.accelerator)
        self._check_loss(loss)
        self.accelerator.backward(loss)
        return float(loss.detach())

    def _check_loss(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            problem = Problem(
                where=f"{self.job.name}, step {self.progress.step + 1}",
                must="the loss must stay finite",
                came=f"{loss.item()}",
                do="fit again under another name (name=...) with a lower learning_rate, or model.precision=float32",
            )
            raise MachineError(problem)

    def _write_line_if_due(self, rate: float) -> None:
        every = max(1, self.n_steps // LINES_PER_STAGE)
        if self.progress.step % every and self.progress.step != self.n_steps:
            return
        line = {
            "step": self.progress.step,
            "epoch": round(self.progress.step / self.steps_per_epoch, 4),
            "loss": self.loss_sum / self.n_summed,
            "learning_rate": rate,
            "seconds": round(time.monotonic() - self.began, 3),
        }
        self.history.write(line)
        self.loss_sum, self.n_summed = 0.0, 0

    def _evaluation_is_due(self) -> bool:
        every = self.steps_per_epoch / self.job.stage.evaluations_per_epoch
        step = self.progress.step
        return step == self.n_steps or floor(step / every) > floor((step - 1) / every)

    def _averaged(self) -> AbstractContextManager[None]:
        return self.average.in_place() if self.average is not None else nullcontext()

    def _evaluate(self, watcher: Watcher) -> None:
        progress = self.progress
        with self._averaged():
            evaluated = self.job.evaluate(self.network, self.feed)
            is_best = progress.best_score is None or self._is_better(evaluated.score, progress.best_score)
            if is_best:
                progress.best_step, progress.best_score, progress.n_without_gain = progress.step, evaluated.score, 0
                self.best_weights = trainable_weights(self.chosen)
            else:
                progress.n_without_gain += 1
        evaluated.predictions.save(self.job.folder / "predictions" / f"step-{progress.step:07d}.arrow")
        epoch = round(progress.step / self.steps_per_epoch, 4)
        self.history.write(
            {"step": progress.step, "epoch": epoch, "evaluation": dict(evaluated.metrics), "is_best": is_best}
        )
        watcher.evaluated(progress.step, evaluated.metrics, is_best=is_best)
        patience = self.job.stage.patience
        if patience is not None and progress.n_without_gain >= patience:
            progress.is_done = progress.stopped_early = True

    def _is_better(self, score: float, best: float) -> bool:
        return score > best if self.job.higher_is_better else score < best

    def save(self) -> None:
        """Write a checkpoint from which the stage goes on exactly as it would have without a crash."""
        now = time.monotonic()
        self.progress.seconds += now - self.saved_at
        extra: dict[str, Any] = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else {},
            "average": self.average.weights if self.average is not None else {},
            "best": self.best_weights,
            "loss_sum": self.loss_sum,
            "n_summed": self.n_summed,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        save_checkpoint(self.job.folder / "checkpoints", self.progress, trainable_weights(self.chosen), extra)
        self.saved_at = time.monotonic()

    def end(self, ended: Path) -> None:
        """Keep the best weights, in the network and on the disk, and drop the resumable state."""
        self.progress.seconds += time.monotonic() - self.saved_at
        put_weights(self.network, self.best_weights)
        save_weights(self.job.folder / "weights", self.best_weights)
        write_json(ended, vars(self.progress))
        remove_checkpoints(self.job.folder / "checkpoints")
        self.optimizer.zero_grad()


def _put_best(job: StageJob, network: Network, progress: Progress) -> None:
    if progress.best_step > 0:
        put_weights(network, load_weights(job.folder / "weights"))


def _out_of_memory(job: StageJob, error: BaseException) -> Problem:
    return Problem(
        where=job.name,
        must="a batch must fit the memory of the device",
        came=str(error).splitlines()[0],
        do="fit again under another name (name=...) with "
        f"stages.{job.number}.batch_size={max(1, job.stage.batch_size // 2)} and "
        f"gradient_accumulation={job.stage.gradient_accumulation * 2}, or model.gradient_checkpointing=true",
    )
