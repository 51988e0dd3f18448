"""A limit on control frames, and the choice of the pings that are answered.

There is no timer per frame: one bucket, and one deadline for one waiting answer. It may not know frames or sockets.
"""

from __future__ import annotations

from posthouse.core.values.config import Config


class Controls:
    """A bucket of `control_burst` that refills with `control_rate` a second, and may be overdrawn by another burst.

    Pings within the burst are answered in order. Of pings beyond the burst, and of pings during a pause of output, only
    the latest is answered: when output goes again and the bucket would have recovered from it. Pongs do not delay
    that, because the server asks for them. "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in
    response to previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed
    Ping frame" (RFC 6455 section 5.5.3).
    """

    __slots__ = ("_at", "_burst", "_due", "_rate", "_tokens", "_waiting")

    def __init__(self, config: Config, now: float) -> None:
        self._rate = config.control_rate
        self._burst = config.control_burst
        self._tokens = float(self._burst)
        self._at = now
        self._waiting: bytes | None = None
        self._due = now

    def charge(self, now: float) -> bool:
        """Count a control frame. False if it was one too many."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1.0
        self._at = now
        return self._tokens >= -self._burst

    def answer(self, payload: bytes, *, paused: bool) -> bytes | None:
        """The answer to a ping that was charged. None: the answer waits, and replaces one that waited."""
        if paused or self._tokens < 0.0:
            self._due = self._at - min(0.0, self._tokens) / self._rate
            self._waiting = payload
            return None
        self._waiting = None
        return payload

    def full(self, now: float) -> bool:
        """Is the bucket full, and no answer waits? Then it is as good as a new one."""
        return self._waiting is None and self._tokens + (now - self._at) * self._rate >= self._burst

    def due(self) -> float | None:
        """When the waiting answer may be given, or None."""
        return None if self._waiting is None else self._due

    def release(self, now: float) -> bytes | None:
        """The waiting answer, if it may be given now."""
        if now < self._due:
            return None
        payload, self._waiting = self._waiting, None
        return payload
