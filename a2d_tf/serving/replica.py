"""A replica: an HTTP request in, the answer of TensorFlow Serving's REST interface out."""

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.scoring.exported import Judge, unpack
from a2d_tf.scoring.ray_session import import_ray
from a2d_tf.serving import drift, rest
from a2d_tf.serving.metrics import Metrics, Report

JSON, TEXT = "application/json", "text/plain; version=0.0.4; charset=utf-8"
HEALTH, METRICS = "/healthz", ("/metrics", "/monitoring/prometheus/metrics")
DROPPED = 8
REPORT_S = 0.5  # between two reports of a replica
Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ReplicaOptions:
    """What a replica serves.

    Attributes:
      name, version: of the model, in paths.
      batch_size: images that are judged at once.
      batch_wait_s: for which a batch waits for more images.
      max_body: bytes of a request.
      threads: that one operation may use; None leaves that to TensorFlow.
    """

    name: str
    version: str
    batch_size: int
    batch_wait_s: float
    max_body: int
    threads: int | None


class _Piece(NamedTuple):
    """Images of one request, or some of them, that one batch takes."""

    signature: str
    images: NDArray[Any]


class Watch:
    """Holds the metrics of all replicas.

    Args:
      settings: those of a2d.json.
      window: see `Metrics`.
    """

    def __init__(self, settings: Mapping[str, Any], window: int):
        self._metrics = Metrics(drift.calibrated(settings), window)

    async def add(self, report: Report) -> None:
        """Adds what a replica has answered."""
        self._metrics.add(report)

    async def text(self) -> bytes:
        """All metrics."""
        return self._metrics.text()

    async def messages(self) -> list[str]:
        """Warnings in words."""
        return self._metrics.messages()


class Replica:
    """Answers requests with an exported detector.

    Args:
      model: the folder of the SavedModel, or its bytes from `exported.pack`.
      options: see `ReplicaOptions`.
      watch: a handle to `Watch`.
    """

    def __init__(self, model: str | bytes, options: ReplicaOptions, watch: Any):
        self._options, self._watch = options, watch
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        if isinstance(model, bytes):
            self._scratch = unpack(model)
        folder = self._scratch.name if self._scratch else str(model)
        self._judge = Judge(folder, options.threads)
        self._spec = self._judge.exported.spec
        self._signatures = self._judge.signatures
        self._warm_up()
        self._metadata = rest.metadata(Path(folder), options.name, options.version)
        self._report = Report()
        self._reporting: asyncio.Task[None] | None = None
        batched = import_ray("ray.serve").batch(
            max_batch_size=options.batch_size, batch_wait_timeout_s=options.batch_wait_s,
            batch_size_fn=lambda pieces: sum(len(piece.images) for piece in pieces),
        )

        @batched  # type: ignore[untyped-decorator]
        async def judged(pieces: list[_Piece]) -> list[Outputs]:
            return await asyncio.to_thread(self._judge_pieces, pieces)

        self._judged = judged

    async def __call__(self, request: Any) -> Any:
        """Answers a request of Starlette's with a response of Starlette's."""
        respond = import_ray("starlette.responses").Response
        started = time.perf_counter()
        if self._reporting is None:
            self._reporting = asyncio.create_task(self._report_for_ever())
        signature, is_question = "", request.url.path.endswith(":predict")
        status = HTTPStatus.OK
        try:
            media, body = JSON, b""
            if is_question:
                question = await self._question(request)
                signature = question.signature
                body = await self._answer(question)
            else:
                media, body = await self._other(request)
        except rest.RestError as error:
            status, body = error.status, _error(str(error))
        except Exception:
            logging.getLogger("ray.serve").exception("a request could not be answered")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            body = _error("the request could not be answered; the server's log says why")
        if is_question:
            self._report.requests.append(
                (signature, status.value, time.perf_counter() - started)
            )
        return respond(body, status_code=status.value, media_type=media)

    async def _question(self, request: Any) -> rest.Question:
        self._check_path(request, "POST")
        body = await _read(request, self._options.max_body)
        return await asyncio.to_thread(rest.parse, body, self._signatures, self._spec)

    async def _answer(self, question: rest.Question) -> bytes:
        size = self._options.batch_size
        pieces = await asyncio.gather(*[
            self._judged(_Piece(question.signature, question.images[start:start + size]))
            for start in range(0, len(question.images), size)
        ])
        outputs = {
            name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]
        }
        self._count(outputs)
        return await asyncio.to_thread(rest.answer, outputs, question.in_rows)

    async def _other(self, request: Any) -> tuple[str, bytes]:
        if request.url.path == HEALTH:
            return JSON, b'{"status": "ok"}'
        if request.url.path in METRICS:
            await self._send_report()
            return TEXT, await self._watch.text.remote()
        verb = self._check_path(request, "GET")
        found = self._metadata if verb == "/metadata" else rest.status(self._options.version)
        return JSON, json.dumps(found).encode()

    def _check_path(self, request: Any, method: str) -> str:
        """What is asked of the model; raises RestError if there is no such path."""
        options, path = self._options, request.url.path
        found = rest.PATH.fullmatch(path)
        if not found or found["name"] != options.name or (
            found["version"] not in (None, options.version)
        ):
            raise rest.RestError(
                HTTPStatus.NOT_FOUND,
                f"expected a path below /v1/models/{options.name}, or {HEALTH} or {METRICS[0]}, "
                f"got {path[:100]}",
            )
        if request.method != method:
            raise rest.RestError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"expected {method} for {path[:100]}, got {request.method[:20]}",
            )
        return found["verb"] or ""

    def _warm_up(self) -> None:
        """Traces every signature, so that no client waits for that."""
        if sizes := self._judge.exported.sizes:
            image = np.broadcast_to(np.float32(self._spec.bounds.lower), (1, *sizes))
            for signature, takes_bytes in self._signatures.items():
                self._judge(image.astype(np.uint8) if takes_bytes else image, signature)

    def _judge_pieces(self, pieces: list[_Piece]) -> list[Outputs]:
        """The outputs for each piece; those of one signature and size are judged together."""
        kinds: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        for place, piece in enumerate(pieces):
            kinds.setdefault((piece.signature, piece.images.shape[1:]), []).append(place)
        answers: list[Outputs] = [{} for _ in pieces]
        for (signature, _), places in kinds.items():
            images = np.concatenate([pieces[place].images for place in places])
            outputs = self._judge(images, signature)
            self._report.batches.append(len(images))
            ends = np.cumsum([len(pieces[place].images) for place in places])[:-1]
            for name, values in outputs.items():
                for place, part in zip(places, np.split(values, ends), strict=True):
                    answers[place][name] = part
        return answers

    def _count(self, outputs: Outputs) -> None:
        valid, report = outputs["valid"], self._report
        report.images += len(valid)
        report.flagged += int(outputs["is_adversarial"].sum())
        report.invalid += int((~valid).sum())
        if "score" in outputs:
            report.scores += outputs["score"][valid].tolist()

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            try:
                await self._send_report()
            except Exception:  # it starts again by itself; what it was told is lost
                logging.getLogger("ray.serve").warning("the metrics do not answer")

    async def _send_report(self) -> None:
        report, self._report = self._report, Report()
        if report:
            await self._watch.add.remote(report)


async def _read(request: Any, most: int) -> bytes:
    """The body of a request; raises RestError if it is longer than so many bytes.

    The rest of such a body is read and dropped, up to `DROPPED` times as much, since a client that
    still sends does not read an answer.
    """
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > DROPPED * most:
            break
        if size > most:
            parts.clear()
        else:
            parts.append(part)
    if size > most:
        raise rest.RestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"expected a body of at most {most} bytes, got a longer one; send fewer images at once",
        )
    return b"".join(parts)


def _error(message: str) -> bytes:
    return json.dumps({"error": " ".join(message.split())}).encode()
